/**
 * A proxy as one would write it on `node:http2`: the yardstick for the cost of a pair. Two of these, one with role
 * `client` and one with role `server`, do what a pair of sidecars does: clear text in, mutual TLS between, clear text out.
 *
 *   node bench/peers/node-http2.ts client|server TARGET_PORT CERTS_DIR
 *
 * Prints its port as JSON.
 */
import { readFileSync } from "node:fs";
import {
  connect,
  createSecureServer,
  createServer,
  type ClientHttp2Session,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { join } from "node:path";

const [role, targetPort = "0", certs = "."] = process.argv.slice(2);
const tls = {
  key: readFileSync(join(certs, "leaf.key")),
  cert: readFileSync(join(certs, "leaf.pem")),
  ca: readFileSync(join(certs, "ca.pem")),
  minVersion: "TLSv1.3",
  ciphers: "TLS_AES_128_GCM_SHA256",
} as const;

let upstream: ClientHttp2Session | undefined;

function session(): ClientHttp2Session {
  if (upstream === undefined || upstream.closed || upstream.destroyed) {
    upstream =
      role === "client"
        ? connect(`https://127.0.0.1:${targetPort}`, { ...tls, servername: "peer.test" })
        : connect(`http://127.0.0.1:${targetPort}`);
    upstream.on("error", () => {});
  }
  return upstream;
}

function forward(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  const request = session().request(headers);
  stream.on("error", () => request.close());
  request.on("error", () => stream.close());
  request.on("response", (response) => {
    stream.respond(response);
    request.pipe(stream);
  });
  stream.pipe(request);
}

const server: Http2Server =
  role === "client"
    ? createServer()
    : createSecureServer({ ...tls, requestCert: true, rejectUnauthorized: true });
server.on("stream", forward);
server.on("sessionError", () => {});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") console.log(JSON.stringify({ port: address.port }));
});
