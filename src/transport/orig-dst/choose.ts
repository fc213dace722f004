import { origDstFromKernel } from "./from-kernel.ts";
import { localAddress } from "./local-address.ts";
import type { OrigDst } from "./orig-dst.ts";

/** How the original destination is found, and what to warn of at start. */
export interface ChosenOrigDst {
  readonly provider: OrigDst;
  readonly problem: string | undefined;
}

/**
 * - `so_original_dst`: the kernel tells, or the connection is dropped: the strict choice for intercepted workloads.
 * - `local`: nothing is intercepted.
 * - `auto`: the kernel tells where it can; a connection that it did not redirect was meant for us. That is safe, because
 *   such a connection gets no further than the mesh's own front doors: explicit proxying, or mutual TLS.
 */
export function chooseOrigDst(how: "auto" | "so_original_dst" | "local"): ChosenOrigDst {
  if (how === "local") return { provider: localAddress, problem: undefined };
  const kernel = origDstFromKernel();
  if (how === "so_original_dst") return kernel;
  const provider: OrigDst = {
    name: `${kernel.provider.name}, else local address`,
    lookup: (socket) => {
      const found = kernel.provider.lookup(socket);
      return found.ok ? found : localAddress.lookup(socket);
    },
  };
  return { provider, problem: kernel.problem };
}
