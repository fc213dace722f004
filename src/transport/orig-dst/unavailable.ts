import { unparsed } from "../../parsed.ts";
import type { OrigDst } from "./orig-dst.ts";

/** Knows no destination and says why: every intercepted connection is dropped with this reason. */
export function unavailable(reason: string): OrigDst {
  return { name: "unavailable", lookup: () => unparsed(`the original destination is unknown: ${reason}`) };
}
