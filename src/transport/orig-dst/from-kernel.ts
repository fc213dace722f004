import { loadLibc } from "../libc.ts";
import type { OrigDst } from "./orig-dst.ts";
import { soOriginalDst } from "./so-original-dst.ts";
import { unavailable } from "./unavailable.ts";

/** The provider for intercepted connections on this machine, with what to say about it at start. */
export interface KernelOrigDst {
  readonly provider: OrigDst;
  /** Why interception cannot work here; undefined if it can. To be logged as a warning at start. */
  readonly problem: string | undefined;
}

/** Chooses SO_ORIGINAL_DST where the C library can be called, else a provider that refuses with the reason. */
export function origDstFromKernel(): KernelOrigDst {
  const state = loadLibc();
  if (state.kind === "available") return { provider: soOriginalDst(state.libc), problem: undefined };
  return {
    provider: unavailable(state.reason),
    problem:
      `intercepted connections will be dropped, because SO_ORIGINAL_DST cannot be read: ${state.reason}; ` +
      "explicit proxying, named forwards and direct connections work without it",
  };
}
