/**
 * A proxy on the server of `node:http2` and the client of http2-wrapper.
 *
 *   node bench/peers/programs/http2-wrapper.ts proxy|outbound|inbound PORT TARGET_PORT CERTS
 *
 * `proxy` speaks clear text both ways, `outbound` mutual TLS to its target, `inbound` mutual TLS to its
 * clients. CERTS is `Certs` as JSON.
 */
import type { ClientRequest, IncomingMessage } from "node:http";
import {
  connect,
  constants,
  createSecureServer,
  createServer,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { connect as connectTls } from "node:tls";
import wrapper from "http2-wrapper";
import { CONNECTION_WINDOW_BYTES, certs, part, port, session, targetPort, tls } from "./setup.ts";

const { NGHTTP2_INTERNAL_ERROR } = constants;

let clearText: ClientHttp2Session | undefined;

/** The agent of http2-wrapper does TLS only. For clear text it takes a session, replaced when it has gone. */
function clearTextSession(): ClientHttp2Session {
  if (clearText === undefined || clearText.closed || clearText.destroyed) {
    const made = connect(`http://127.0.0.1:${targetPort}`, session);
    made.on("connect", () => made.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
    made.on("error", () => {});
    clearText = made;
  }
  return clearText;
}

/** For the agent, which knows its session by the origin `https://NAME:PORT`, wherever that is. */
function createConnection() {
  return connectTls({
    ...tls,
    host: "127.0.0.1",
    port: targetPort,
    servername: certs.name,
    ALPNProtocols: ["h2"],
  });
}

function startRequest(headers: IncomingHttpHeaders): ClientRequest {
  return part === "outbound"
    ? wrapper.request({ host: certs.name, port: targetPort, headers, createConnection })
    : wrapper.request({ h2session: clearTextSession(), headers });
}

function forward(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  headers["x-forwarded-for"] = stream.session?.socket.remoteAddress;
  const request = startRequest(headers);
  // It takes no body, not even an empty one, with GET, HEAD and DELETE.
  if (stream.endAfterHeaders) request.end();
  else stream.pipe(request);
  let response: IncomingMessage | undefined;
  request.on("response", (received) => {
    // The client may have gone in the meantime: answering it then would end the process.
    if (stream.destroyed) return;
    response = received;
    response.headers["x-proxy"] = part;
    stream.respond(response.headers, { waitForTrailers: true });
    response.pipe(stream);
    response.on("aborted", () => stream.close(NGHTTP2_INTERNAL_ERROR));
  });
  stream.on("wantTrailers", () => {
    if (!stream.destroyed) stream.sendTrailers(response?.trailers ?? {});
  });
  // Whatever ends one side early ends the other.
  stream.on("close", () => request.destroy());
  request.on("error", () => stream.close(NGHTTP2_INTERNAL_ERROR));
  stream.on("error", () => {});
}

const server =
  part === "inbound"
    ? createSecureServer({ ...session, ...tls, requestCert: true, rejectUnauthorized: true })
    : createServer(session);
server.on("session", (accepted) => accepted.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
server.on("stream", forward);
server.on("sessionError", () => {});
server.listen(port, "127.0.0.1");
