import type { SocketAddr } from "../../addr/socket-addr.ts";
import { parsed } from "../../parsed.ts";
import type { OrigDst } from "./orig-dst.ts";

/** One destination for every connection: a named forward, or a test that plays the kernel. */
export function fixed(destination: SocketAddr): OrigDst {
  return { name: "fixed", lookup: () => parsed(destination) };
}
