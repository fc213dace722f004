import { freePort } from "../../test/support/process-mesh.ts";
import { TLS_SUITE, type Job, type Peer, type Site } from "./peer.ts";
import { findProgram, hopOf, pairOf, startProxy } from "./start.ts";

const STREAM_WINDOW_BYTES = 1 << 20;
const CONNECTION_WINDOW_BYTES = 1 << 24;

/** The proxy of nghttp2 on one thread, with windows that bulk data does not fill. A pair speaks HTTP/2. */
export const nghttpx: Peer = {
  name: "nghttpx",

  missing() {
    const found = findProgram("nghttpx") !== undefined;
    return found ? undefined : "nghttpx is not on PATH (Debian package nghttp2-proxy)";
  },

  takes: ({ protocol }) => protocol !== "tcp",

  async start(job, site) {
    const application = `127.0.0.1,${site.appPort};;${protocol(job)}`;
    if (job.topology === "hop") {
      const port = await freePort();
      return hopOf(port, await run("hop", `127.0.0.1,${port};no-tls`, application, [], port));
    }
    const meshPort = await freePort();
    const inbound = await run("inbound", `127.0.0.1,${meshPort}`, application, acceptTls(site), meshPort);
    const port = await freePort();
    const next = `127.0.0.1,${meshPort};;proto=h2;tls;sni=${site.certs.name}`;
    return pairOf(port, inbound, run("outbound", `127.0.0.1,${port};no-tls`, next, connectTls(site), port));
  },
};

/** Towards the application. Towards clients nghttpx finds out by itself. */
function protocol({ protocol }: Job): string {
  return protocol === "http2" ? "proto=h2" : "proto=http/1.1";
}

const TLS_1_3 = ["--tls-min-proto-version=TLSv1.3", "--tls-max-proto-version=TLSv1.3"];

function acceptTls({ certs }: Site): readonly string[] {
  return [
    ...TLS_1_3,
    `--tls13-ciphers=${TLS_SUITE}`,
    "--verify-client",
    `--verify-client-cacert=${certs.ca}`,
    "--no-ocsp",
    certs.key,
    certs.cert,
  ];
}

function connectTls({ certs }: Site): readonly string[] {
  return [
    ...TLS_1_3,
    `--tls13-client-ciphers=${TLS_SUITE}`,
    `--cacert=${certs.ca}`,
    `--client-cert-file=${certs.cert}`,
    `--client-private-key-file=${certs.key}`,
  ];
}

/** Adds a header each way, as a sidecar does, in place of the several that nghttpx would add. */
function run(part: string, frontend: string, backend: string, tls: readonly string[], port: number) {
  return startProxy(
    [
      findProgram("nghttpx") ?? "nghttpx",
      // Otherwise it would read the machine's own configuration too.
      "--conf=/dev/null",
      `--frontend=${frontend}`,
      `--backend=${backend}`,
      "--workers=1",
      "--single-process",
      "--single-thread",
      "--log-level=ERROR",
      `--frontend-http2-window-size=${STREAM_WINDOW_BYTES}`,
      `--frontend-http2-connection-window-size=${CONNECTION_WINDOW_BYTES}`,
      `--backend-http2-window-size=${STREAM_WINDOW_BYTES}`,
      `--backend-http2-connection-window-size=${CONNECTION_WINDOW_BYTES}`,
      "--frontend-http2-max-concurrent-streams=1000",
      "--backend-keep-alive-timeout=60s",
      "--no-server-push",
      "--no-via",
      "--no-add-x-forwarded-proto",
      "--no-server-rewrite",
      "--add-x-forwarded-for",
      `--add-response-header=x-proxy: ${part}`,
      ...tls,
    ],
    port,
  );
}
