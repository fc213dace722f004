/**
 * Preloaded into the proxies of a scenario (`node --import`): plays the kernel for clients that have no proxy of their own, and
 * tells how much memory is in use when all garbage is collected.
 */
import { writeFileSync } from "node:fs";
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import type { Redirected } from "../../src/transport/orig-dst/orig-dst.ts";
import { localAddress } from "../../src/transport/orig-dst/local-address.ts";

/** JSON, from the address of a client to where its connections were meant to go. */
export const REDIRECT_VARIABLE = "SCENARIO_REDIRECT";
/** The file that gets the bytes in use, as a number, on SIGUSR2. */
export const MEMORY_VARIABLE = "SCENARIO_MEMORY_FILE";

const targets = new Map<string, string>(Object.entries(JSON.parse(process.env[REDIRECT_VARIABLE] ?? "{}")));
if (targets.size > 0) {
  const { ...local } = localAddress;
  Object.assign(localAddress, {
    lookup: (socket: Redirected) => {
      const target = targets.get(socket.peerAddr.ip.text);
      return target === undefined ? local.lookup(socket) : parseSocketAddr(target);
    },
  });
}

const file = process.env[MEMORY_VARIABLE];
if (file !== undefined) {
  process.on("SIGUSR2", () => {
    // Finalizers of the first round free what the second collects.
    globalThis.gc?.();
    globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    writeFileSync(file, String(heapUsed + external));
  });
}
