import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../../test/support/process-mesh.ts";
import { envoyBootstrap, type EnvoyPart } from "./envoy-bootstrap.ts";
import { givenProgram } from "./given-program.ts";
import type { Peer, Site } from "./peer.ts";
import { hopOf, pairOf, startProxy } from "./start.ts";

const PROGRAM = "OUTRIGGER_BENCH_ENVOY";

/** Envoy with one worker, as other meshes' sidecars have it. A pair speaks HTTP/2, whatever its clients do. */
export const envoy: Peer = {
  name: "envoy",

  missing() {
    const program = givenProgram(PROGRAM);
    return program.kind === "missing" ? program.reason : undefined;
  },

  takes: () => true,

  async start({ topology, protocol }, site) {
    const { appPort } = site;
    if (topology === "hop") {
      const port = await freePort();
      return hopOf(port, await run(site, { name: "hop", protocol, port, targetPort: appPort }));
    }
    const meshPort = await freePort();
    const inbound = await run(site, { name: "inbound", protocol, port: meshPort, targetPort: appPort });
    const port = await freePort();
    return pairOf(port, inbound, run(site, { name: "outbound", protocol, port, targetPort: meshPort }));
  },
};

async function run({ dir, certs }: Site, part: Omit<EnvoyPart, "certs">) {
  const program = givenProgram(PROGRAM);
  if (program.kind === "missing") throw new Error(program.reason);
  const file = join(dir, `envoy-${part.name}.json`);
  await writeFile(file, JSON.stringify(envoyBootstrap({ ...part, certs }), undefined, 2));
  const flags = ["--concurrency", "1", "--log-level", "error"];
  // Hot restart keeps one piece of shared memory for each machine, over which two proxies would quarrel.
  return startProxy([program.path, "--config-path", file, ...flags, "--disable-hot-restart"], part.port);
}
