/**
 * A proxy as one would write it on `node:http2`.
 *
 *   node bench/peers/programs/node-http2.ts proxy|outbound|inbound PORT TARGET_PORT CERTS
 *
 * `proxy` speaks clear text both ways, `outbound` mutual TLS to its target, `inbound` mutual TLS to its
 * clients. CERTS is `Certs` as JSON.
 */
import {
  connect,
  constants,
  createSecureServer,
  createServer,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { CONNECTION_WINDOW_BYTES, certs, part, port, session, targetPort, tls } from "./setup.ts";

const { NGHTTP2_CANCEL, NGHTTP2_FLAG_END_STREAM, NGHTTP2_NO_ERROR } = constants;

let upstream: ClientHttp2Session | undefined;

/** One for all requests, and a new one when it has gone. */
function target(): ClientHttp2Session {
  if (upstream === undefined || upstream.closed || upstream.destroyed) {
    const made =
      part === "outbound"
        ? connect(`https://127.0.0.1:${targetPort}`, { ...session, ...tls, servername: certs.name })
        : connect(`http://127.0.0.1:${targetPort}`, session);
    made.on("connect", () => made.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
    made.on("error", () => {});
    upstream = made;
  }
  return upstream;
}

function forward(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  headers["x-forwarded-for"] = stream.session?.socket.remoteAddress;
  const request = target().request(headers, { endStream: stream.endAfterHeaders });
  if (!stream.endAfterHeaders) stream.pipe(request);
  let trailers: IncomingHttpHeaders = {};
  request.on("response", (response, flags) => {
    // The client may have gone in the meantime: answering it then would end the process.
    if (stream.destroyed) return;
    response["x-proxy"] = part;
    if ((flags & NGHTTP2_FLAG_END_STREAM) !== 0) return stream.respond(response, { endStream: true });
    stream.respond(response, { waitForTrailers: true });
    request.pipe(stream);
  });
  request.on("trailers", (received) => void (trailers = received));
  stream.on("wantTrailers", () => {
    if (!stream.destroyed) stream.sendTrailers(trailers);
  });
  // Whatever ends one side early ends the other.
  stream.on("close", () => request.close(NGHTTP2_CANCEL));
  request.on("close", () => {
    if (request.rstCode !== NGHTTP2_NO_ERROR) stream.close(request.rstCode);
  });
  stream.on("error", () => {});
  request.on("error", () => {});
}

const server =
  part === "inbound"
    ? createSecureServer({ ...session, ...tls, requestCert: true, rejectUnauthorized: true })
    : createServer(session);
server.on("session", (accepted) => accepted.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
server.on("stream", forward);
server.on("sessionError", () => {});
server.listen(port, "127.0.0.1");
