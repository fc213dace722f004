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
    const start = (part: string, bind: string, server: string, port: number) =>
      run(job, site, { part, bind, server, port });
    if (job.topology === "hop") {
      const port = await freePort();
      return hopOf(port, await start("hop", `bind 127.0.0.1:${port} ${clearText(job)}`, application, port));
    }
    const { accept, connect } = mutualTls(job, site);
    const meshPort = await freePort();
    const inbound = await start("inbound", `bind 127.0.0.1:${meshPort} ${accept}`, application, meshPort);
    const port = await freePort();
    const next = `server inbound 127.0.0.1:${meshPort} ${connect}`;
    return pairOf(port, inbound, start("outbound", `bind 127.0.0.1:${port} ${clearText(job)}`, next, port));
  },
};

function clearText({ protocol }: Job): string {
  return protocol === "http2" ? "proto h2" : "";
}

/**
 * Between the two of a pair: HTTP/2 on few connections, or a connection for each of the client's. Of those each makes a
 * handshake of its own, as in a mesh, where nobody resumes sessions.
 */
function mutualTls({ protocol }: Job, { certs }: Site) {
  const { ca, combined, name } = certs;
  const mutual = `ssl crt ${combined} ca-file ${ca} verify required ssl-min-ver TLSv1.3 ciphersuites ${TLS_SUITE}`;
  return protocol === "tcp"
    ? { accept: `${mutual} no-tls-tickets`, connect: `${mutual} verifyhost ${name} no-ssl-reuse` }
    : { accept: `${mutual} alpn h2`, connect: `${mutual} alpn h2 verifyhost ${name} proto h2` };
}

/** How one process is to listen and where it sends. */
interface Part {
  readonly part: string;
  readonly bind: string;
  readonly server: string;
  readonly port: number;
}

async function run(job: Job, site: Site, { part, bind, server, port }: Part) {
  const file = join(site.dir, `haproxy-${part}.cfg`);
  await writeFile(
    file,
    `global
  nbthread 1
  maxconn 8000
  ${job.protocol === "tcp" ? "tune.ssl.cachesize 0" : ""}
defaults
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  ${job.protocol === "tcp" ? "mode tcp" : HTTP_DEFAULTS}
frontend clients
  ${bind}
  default_backend servers
backend servers
  ${job.protocol === "tcp" ? "" : `http-response set-header x-proxy ${part}`}
  ${server}
`,
  );
  return startProxy([findProgram("haproxy") ?? "haproxy", "-f", file], port);
}

/** Adds a header each way, as a sidecar does; the other one is added above. */
const HTTP_DEFAULTS = `mode http
  http-reuse always
  option forwardfor`;
