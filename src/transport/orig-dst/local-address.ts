import { parsed } from "../../parsed.ts";
import type { OrigDst } from "./orig-dst.ts";

/** The address that the connection reached us at: right for TPROXY, which leaves it unchanged, and where nothing is redirected. */
export const localAddress: OrigDst = {
  name: "local address",
  lookup: ({ localAddr }) => parsed(localAddr),
};
