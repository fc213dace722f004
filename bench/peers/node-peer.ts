import { fileURLToPath } from "node:url";
import { freePort } from "../../test/support/process-mesh.ts";
import type { Job, Peer, Site } from "./peer.ts";
import { hopOf, pairOf, startProxy } from "./start.ts";

/**
 * A peer that is a program of ours in `programs/`, on the Node that runs the bench.
 *
 * It is started as `node FILE PART PORT TARGET_PORT CERTS`: what it is (`proxy`, `outbound` or `inbound`),
 * where it listens, where requests go to, and `Certs` as JSON.
 */
export function nodePeer(name: string, file: string, protocol: Job["protocol"]): Peer {
  return {
    name,
    missing: () => undefined,
    takes: (job) => job.protocol === protocol,

    async start(job, site) {
      if (job.topology === "hop") {
        const port = await freePort();
        return hopOf(port, await run(file, "proxy", port, site.appPort, site));
      }
      const meshPort = await freePort();
      const inbound = await run(file, "inbound", meshPort, site.appPort, site);
      const port = await freePort();
      return pairOf(port, inbound, run(file, "outbound", port, meshPort, site));
    },
  };
}

function run(file: string, part: string, port: number, targetPort: number, { certs }: Site) {
  const path = fileURLToPath(new URL(`programs/${file}`, import.meta.url));
  const args = [part, String(port), String(targetPort), JSON.stringify(certs)];
  return startProxy([process.execPath, "--no-warnings", path, ...args], port);
}
