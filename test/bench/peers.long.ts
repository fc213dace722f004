import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { writeCerts } from "../../bench/certs.ts";
import { PEERS } from "../../bench/peers/all.ts";
import { outrigger } from "../../bench/peers/outrigger.ts";
import type { Certs, Job } from "../../bench/peers/peer.ts";
import { accepts } from "../support/accepts.ts";
import { exchange, startApplications, type Applications } from "./peers/exchange.ts";

const JOBS: readonly Job[] = (["hop", "pair"] as const).flatMap((topology) => [
  { topology, protocol: "http1" },
  { topology, protocol: "http2" },
  { topology, protocol: "tcp" },
]);

/** Of its own mesh, a proxy adds what that mesh wants. */
const MESH_PROXIES: readonly string[] = ["outrigger", "linkerd2-proxy"];

describe("peers of the bench", { concurrency: true }, () => {
  let dir = "";
  let certs: Certs;
  let applications: Applications;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "outrigger-peers-"));
    certs = await writeCerts(dir);
    applications = await startApplications();
  });

  after(async () => {
    applications.close();
    await rm(dir, { recursive: true, force: true });
  });

  for (const peer of [...PEERS, outrigger]) {
    for (const job of JOBS.filter((job) => peer.takes(job))) {
      test(`${peer.name} carries ${job.protocol} as a ${job.topology}`, async (t) => {
        const missing = peer.missing();
        if (missing !== undefined) return t.skip(missing);
        const site = {
          appPort: applications.ports[job.protocol],
          dir: await mkdtemp(join(dir, "site-")),
          certs,
        };
        const running = await peer.start(job, site);
        try {
          const parts = job.topology === "hop" ? ["proxy"] : ["outbound", "inbound"];
          assert.deepEqual(Object.keys(running.proxies), parts);
          assert.ok(running.readyMs > 0);
          for (const pids of Object.values(running.proxies)) for (const pid of pids) process.kill(pid, 0);
          const { forwardedFor, proxy } = await exchange(job, running.port);
          if (job.protocol !== "tcp" && !MESH_PROXIES.includes(peer.name)) {
            assert.match(forwardedFor ?? "", /^127\.0\.0\.1/);
            assert.notEqual(proxy, undefined);
          }
        } finally {
          await running.stop();
        }
        assert.equal(await accepts(running.port), false, "nothing listens after stop");
      });
    }
  }

  test("no peer takes bytes for HTTP: those that cannot carry TCP say so", () => {
    const job = { topology: "hop", protocol: "tcp" } as const;
    const others = PEERS.filter((peer) => !peer.takes(job)).map(({ name }) => name);
    for (const name of ["nghttpx", "node:http2", "undici", "http2-wrapper"]) assert.ok(others.includes(name));
  });
});
