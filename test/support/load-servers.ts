/** Servers that watch the load of the bench, or answer it wrongly. */
import { once } from "node:events";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { TestContext } from "node:test";

/** Listens until the test ends. @returns the port. */
export async function listen(t: TestContext, server: Server | Http2Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => new Promise((resolve) => server.close(resolve)));
  // A TCP server that listens has an address and a port.
  return (server.address() as AddressInfo).port;
}

/** What a server of whole requests has seen. */
export interface Seen {
  connections: number;
  /** Connections that stand at once, now and at most. */
  standing: number;
  standingMax: number;
  /** Requests of the connection that had most. */
  requestsMax: number;
  /** Connections that the client ended. */
  endedByClient: number;
  /** What came last. */
  request: Buffer;
}

/** Reads each chunk as one request and answers it with the same bytes. A small request on loopback comes in one. */
export async function rawServer(
  t: TestContext,
  answer: string | Buffer,
  { delayMs = 0, closes = false }: { readonly delayMs?: number; readonly closes?: boolean } = {},
): Promise<{ readonly port: number; readonly seen: Seen; readonly sockets: ReadonlySet<Socket> }> {
  const seen: Seen = {
    connections: 0,
    standing: 0,
    standingMax: 0,
    requestsMax: 0,
    endedByClient: 0,
    request: Buffer.alloc(0),
  };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    let requests = 0;
    sockets.add(socket);
    seen.connections++;
    seen.standing++;
    seen.standingMax = Math.max(seen.standingMax, seen.standing);
    const reply = (): void => void (closes ? socket.destroy() : socket.write(answer));
    socket.on("data", (request: Buffer) => {
      seen.request = request;
      requests++;
      seen.requestsMax = Math.max(seen.requestsMax, requests);
      if (delayMs > 0) setTimeout(reply, delayMs);
      else reply();
    });
    socket.on("end", () => seen.endedByClient++);
    socket.on("error", () => {});
    socket.on("close", () => {
      seen.standing--;
      sockets.delete(socket);
    });
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  return { port: await listen(t, server), seen, sockets };
}

/** An answer of HTTP/1. */
export function http1Answer(status: number, body: string): string {
  return `HTTP/1.1 ${status} Said So\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

/** Hands each stream of HTTP/2 to `onStream`. */
export async function http2Server(
  t: TestContext,
  onStream: (stream: ServerHttp2Stream) => void,
): Promise<number> {
  const server = createHttp2Server();
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => {});
    // The client may have gone in the turn in which it asked.
    if (!stream.destroyed && !stream.closed) onStream(stream);
  });
  server.on("session", (session) => {
    session.on("error", () => {});
    t.after(() => session.destroy());
  });
  return listen(t, server);
}

/** A length-prefixed message of gRPC. */
export function grpcMessage(bytes: number): Buffer {
  const message = Buffer.alloc(5 + bytes, "y");
  message[0] = 0;
  message.writeUInt32BE(bytes, 1);
  return message;
}

/** Cuts a body into the messages that it must consist of. @returns their lengths and what is left. */
export function grpcMessages(body: Buffer): { readonly lengths: readonly number[]; readonly rest: Buffer } {
  const lengths: number[] = [];
  let at = 0;
  while (body.length - at >= 5) {
    if (body[at] !== 0) throw new Error(`a message begins with ${body[at]}`);
    const length = body.readUInt32BE(at + 1);
    if (body.length - at < 5 + length) break;
    lengths.push(length);
    at += 5 + length;
  }
  return { lengths, rest: body.subarray(at) };
}

/** What came on a stream of gRPC. */
export interface SeenStream {
  /** Of its messages. */
  readonly lengths: number[];
  /** The client has ended its half. */
  ended: boolean;
}

/** Answers each message of each stream with one of so many bytes, and the end of the stream with its status. */
export async function grpcEcho(
  t: TestContext,
  responseBytes: number,
): Promise<{ readonly port: number; readonly streams: readonly SeenStream[] }> {
  const streams: SeenStream[] = [];
  const port = await http2Server(t, (stream) => {
    const seen: SeenStream = { lengths: [], ended: false };
    streams.push(seen);
    let rest: Buffer = Buffer.alloc(0);
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("data", (chunk: Buffer) => {
      const read = grpcMessages(Buffer.concat([rest, chunk]));
      rest = read.rest;
      seen.lengths.push(...read.lengths);
      for (let i = 0; i < read.lengths.length; i++) stream.write(grpcMessage(responseBytes));
    });
    stream.on("end", () => stream.end());
    stream.on("wantTrailers", () => {
      // A stream whose connection is gone has an end, too, but not of the client's doing.
      if (stream.destroyed) return;
      seen.ended = true;
      stream.sendTrailers({ "grpc-status": "0" });
    });
  });
  return { port, streams };
}
