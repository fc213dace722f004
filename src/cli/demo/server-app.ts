/**
 * The demo's server: echoes on four ports of loopback, one for each protocol, and tells which identity it was shown. It
 * prints its ports as one line of JSON, and ends when its standard input does.
 */
import { once } from "node:events";
import {
  createServer as createHttp1,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { createServer as createHttp2, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { createServer as createTcp, type Server as NetServer } from "node:net";
import type { Duplex } from "node:stream";
import {
  Metadata,
  Server as GrpcServer,
  ServerCredentials,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
} from "@grpc/grpc-js";
import { L5D_CLIENT_ID } from "../../headers.ts";
import { BIDI_METHOD, SEEN_CLIENT_ID, UNARY_METHOD, type SeenRequest, type ServerPorts } from "./contract.ts";
import { acceptKey, CLOSE_FRAME, encodeFrame, FrameReader } from "./web-socket.ts";

const LOOPBACK = "127.0.0.1";

function clientIdOf(headers: IncomingHttpHeaders): string | null {
  const value = headers[L5D_CLIENT_ID];
  return typeof value === "string" ? value : null;
}

/** HTTP/1 and HTTP/2 alike: the answer is the request. */
function tellRequest(
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
): void {
  const { httpVersion, method = "", url = "", headers } = request;
  const seen: SeenRequest = { httpVersion, method, path: url, clientId: clientIdOf(headers), headers };
  request.resume();
  response.setHeader("content-type", "application/json");
  response.end(`${JSON.stringify(seen, null, 2)}\n`);
}

/** Shakes hands by hand (RFC 6455 section 4.2.2) and sends every frame back; a close is answered and ends it. */
function echoFrames(request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const key = request.headers["sec-websocket-key"] ?? "";
  socket.write(
    [
      "HTTP/1.1 101 Switching Protocols",
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Accept: ${acceptKey(key)}`,
      `${SEEN_CLIENT_ID}: ${clientIdOf(request.headers) ?? ""}`,
      "\r\n",
    ].join("\r\n"),
  );
  const reader = new FrameReader();
  const onBytes = (bytes: Buffer): void => {
    try {
      for (const { opcode, payload } of reader.push(bytes)) {
        socket.write(encodeFrame(opcode, payload));
        if (opcode === CLOSE_FRAME) socket.end();
      }
    } catch (error) {
      socket.destroy(error instanceof Error ? error : undefined);
    }
  };
  socket.on("error", () => socket.destroy());
  socket.on("data", onBytes);
  onBytes(head);
}

const sameBytes = (bytes: Buffer): Buffer => bytes;

function seenMetadata(metadata: Metadata): Metadata {
  const seen = new Metadata();
  const [value] = metadata.get(L5D_CLIENT_ID);
  if (value !== undefined) seen.set(SEEN_CLIENT_ID, value);
  return seen;
}

function grpcServer(): GrpcServer {
  const codec = {
    requestSerialize: sameBytes,
    requestDeserialize: sameBytes,
    responseSerialize: sameBytes,
    responseDeserialize: sameBytes,
  };
  const server = new GrpcServer();
  server.addService(
    {
      say: { path: UNARY_METHOD, requestStream: false, responseStream: false, ...codec },
      talk: { path: BIDI_METHOD, requestStream: true, responseStream: true, ...codec },
    },
    {
      say: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>): void => {
        call.sendMetadata(seenMetadata(call.metadata));
        answer(null, call.request);
      },
      talk: (call: ServerDuplexStream<Buffer, Buffer>): void => {
        call.sendMetadata(seenMetadata(call.metadata));
        call.on("error", () => call.destroy());
        call.on("data", (message: Buffer) => call.write(message));
        call.on("end", () => call.end());
      },
    },
  );
  return server;
}

async function listening(server: NetServer): Promise<number> {
  server.listen(0, LOOPBACK);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has no port");
  return address.port;
}

const http1 = createHttp1(tellRequest);
http1.on("upgrade", echoFrames);
const http2 = createHttp2(tellRequest);
const tcp = createTcp({ allowHalfOpen: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
});
const grpcPort = new Promise<number>((resolve, reject) => {
  grpcServer().bindAsync(`${LOOPBACK}:0`, ServerCredentials.createInsecure(), (error, port) => {
    if (error === null) resolve(port);
    else reject(error);
  });
});
const ports: ServerPorts = {
  http: await listening(http1),
  http2: await listening(http2),
  grpc: await grpcPort,
  tcp: await listening(tcp),
};
process.stdout.write(`${JSON.stringify(ports)}\n`);
// Whoever started us holds the other end: when that process is gone, however it went, so are we.
process.stdin.on("end", () => process.exit(0)).resume();
