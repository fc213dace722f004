import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../../test/support/process-mesh.ts";
import { TLS_SUITE, type Job, type Peer, type Site } from "./peer.ts";
import { findProgram, hopOf, pairOf, startProxy } from "./start.ts";

/** HAProxy on one thread, as a reverse proxy that keeps its connections: what it can do best. */
export const haproxy: Peer = {
  name: "haproxy",

  missing() {
    return findProgram("haproxy") === undefined
      ? "haproxy is not on PATH (Debian package haproxy)"
      : undefined;
  },

  takes: () => true,

  async start(job, site) {
    const application = `server application 127.0.0.1:${site.appPort} ${clearText(job)}`;
    if (job.topology === "hop") {
      const port = await freePort();
      return hopOf(
        port,
        await run(site, "hop", `bind 127.0.0.1:${port} ${clearText(job)}`, application, port),
      );
    }
    const { ca, combined, name } = site.certs;
    const mutual = `ssl crt ${combined} ca-file ${ca} verify required ssl-min-ver TLSv1.3 ciphersuites ${TLS_SUITE} alpn h2`;
    const meshPort = await freePort();
    const inbound = await run(site, "inbound", `bind 127.0.0.1:${meshPort} ${mutual}`, application, meshPort);
    const port = await freePort();
    const next = `server inbound 127.0.0.1:${meshPort} ${mutual} verifyhost ${name} proto h2`;
    return pairOf(
      port,
      inbound,
      run(site, "outbound", `bind 127.0.0.1:${port} ${clearText(job)}`, next, port),
    );
  },
};

function clearText({ protocol }: Job): string {
  return protocol === "http2" ? "proto h2" : "";
}

/** Adds a header each way, as a sidecar does. */
async function run(site: Site, part: string, bind: string, server: string, port: number) {
  const file = join(site.dir, `haproxy-${part}.cfg`);
  await writeFile(
    file,
    `global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
  option forwardfor
frontend clients
  ${bind}
  default_backend servers
backend servers
  http-response set-header x-proxy ${part}
  ${server}
`,
  );
  return startProxy([findProgram("haproxy") ?? "haproxy", "-f", file], port);
}
