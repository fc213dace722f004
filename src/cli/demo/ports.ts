import { once } from "node:events";
import { createServer, type Server } from "node:net";

/**
 * Where to look for ports: below the ranges from which Linux (32768 on) and most others (49152 on) pick ports by
 * themselves, so that no connection of this machine takes one between our look and the use of it.
 */
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 32_000;

/** Ports tried before giving up; a machine with this many of them in use has other problems. */
const ATTEMPTS_MAX = 200;

/**
 * Finds `count` different ports of 127.0.0.1 that nobody listens on.
 *
 * For processes whose ports others must know before they start.
 *
 * @throws if there are not enough.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const held: { readonly server: Server; readonly port: number }[] = [];
  try {
    for (let attempt = 0; held.length < count; attempt++) {
      if (attempt === ATTEMPTS_MAX) throw new Error(`found no ${count} free ports on 127.0.0.1`);
      const port = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT));
      const server = createServer();
      try {
        server.listen(port, "127.0.0.1");
        await once(server, "listening");
        held.push({ server, port });
      } catch {
        // In use, or not for us: the next one.
      }
    }
    return held.map(({ port }) => port);
  } finally {
    await Promise.all(held.map(({ server }) => once(server.close(), "close")));
  }
}
