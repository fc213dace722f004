/** The clients of the scenarios, on Node's own stacks and grpc-js: each talks to a port of a sidecar. */
import { once } from "node:events";
import { Agent, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import {
  connect as connectHttp2,
  type ClientHttp2Session,
  type IncomingHttpHeaders as Http2Headers,
} from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { Client, credentials, Metadata, type ClientDuplexStream, type StatusObject } from "@grpc/grpc-js";
import { ECHO_METHOD } from "./application.ts";

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The client's port: the same for requests on the same connection. */
  readonly localPort: number;
}

/** An agent that keeps one connection alive. */
export function oneConnection(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1 });
}

/** A GET over HTTP/1: on a connection of its own, or on the agent's. */
export async function http1Get(port: number, path = "/", agent?: Agent): Promise<HttpAnswer> {
  const request = httpRequest({ host: "127.0.0.1", port, path, agent: agent ?? false, setHost: true }).end();
  const [response] = await once(request, "response");
  const localPort = response.socket.localPort;
  return { status: response.statusCode, headers: response.headers, body: await text(response), localPort };
}

export async function http2Connect(port: number): Promise<ClientHttp2Session> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  await once(session, "connect");
  // Requests tell what went wrong; without a listener the process would end.
  session.on("error", () => {});
  return session;
}

export async function http2Get(
  session: ClientHttp2Session,
  path = "/",
): Promise<{ readonly status: number; readonly body: string }> {
  const stream = session.request({ ":path": path });
  const [headers] = (await once(stream, "response")) as [Http2Headers];
  return { status: Number(headers[":status"]), body: await text(stream) };
}

const sameBytes = (bytes: Buffer): Buffer => bytes;

/** A gRPC channel of its own, never one of the pool that grpc-js shares between equal targets. */
export function grpcChannel(port: number): Client {
  return new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": -1,
  });
}

export type GrpcDuplex = ClientDuplexStream<Buffer, Buffer>;

export function grpcStream(channel: Client, method: string, metadata = new Metadata()): GrpcDuplex {
  return channel.makeBidiStreamRequest(method, sameBytes, sameBytes, metadata);
}

/** A gRPC stream that stays open and sends every message back. */
export class GrpcEcho {
  /** How the call ended. */
  readonly status: Promise<StatusObject>;
  readonly #call: GrpcDuplex;

  constructor(channel: Client) {
    this.#call = grpcStream(channel, ECHO_METHOD);
    this.status = new Promise((resolve) => this.#call.once("status", resolve));
    // The status tells what an error tells.
    this.#call.on("error", () => {});
  }

  /** @throws Error if the call ends instead, or another message comes back. */
  async echo(message: string): Promise<void> {
    const answer = new Promise<Buffer>((resolve) => this.#call.once("data", resolve));
    const ended = this.status.then((status) => {
      throw new Error(`the call ended with ${status.code}: ${status.details}`);
    });
    this.#call.write(Buffer.from(message));
    same((await Promise.race([answer, ended])).toString(), message);
  }

  end(): Promise<StatusObject> {
    this.#call.end();
    return this.status;
  }
}

/** One gRPC call on a channel of its own: a message there and back. @returns how it ended. */
export async function grpcCall(port: number, message = "hello"): Promise<StatusObject> {
  const channel = grpcChannel(port);
  try {
    const echo = new GrpcEcho(channel);
    await echo.echo(message).catch(() => {});
    return await echo.end();
  } finally {
    channel.close();
  }
}

/** A TCP connection on which the application sends everything back. */
export class TcpEcho {
  readonly socket: Socket;
  /** When the connection is gone: why, or undefined after an orderly end. */
  readonly closed: Promise<string | undefined>;
  /** What came back and was not asked for yet. */
  #received = "";

  private constructor(socket: Socket) {
    this.socket = socket;
    let why: string | undefined;
    this.closed = new Promise((resolve) => {
      socket.on("error", (error: NodeJS.ErrnoException) => (why = error.code ?? error.message));
      socket.once("close", () => resolve(why));
    });
    socket.setEncoding("latin1").on("data", (piece: string) => (this.#received += piece));
  }

  static async connect(port: number): Promise<TcpEcho> {
    const socket = connectTcp({ host: "127.0.0.1", port, noDelay: true });
    await once(socket, "connect");
    const echo = new TcpEcho(socket);
    socket.write("echo\n");
    return echo;
  }

  /** @throws Error if the connection ends instead, or something else comes back. */
  async echo(message: string): Promise<void> {
    const ended = this.closed.then((why) => {
      throw new Error(`the connection was closed (${why ?? "in order"})`);
    });
    this.socket.write(message);
    while (this.#received.length < message.length) {
      await Promise.race([new Promise((resolve) => this.socket.once("data", resolve)), ended]);
    }
    const back = this.#received.slice(0, message.length);
    this.#received = this.#received.slice(message.length);
    same(back, message);
  }

  async end(): Promise<void> {
    this.socket.end();
    await this.closed;
  }
}

/** A TCP connection of its own: a message there and back. @returns why it failed; undefined if it did not. */
export async function tcpCall(port: number, message = "hello"): Promise<string | undefined> {
  const echo = await TcpEcho.connect(port);
  try {
    await echo.echo(message);
    await echo.end();
    return undefined;
  } catch (error) {
    echo.socket.destroy();
    return error instanceof Error ? error.message : String(error);
  }
}

function same(found: string, sent: string): void {
  if (found !== sent) throw new Error(`sent ${JSON.stringify(sent)}, back came ${JSON.stringify(found)}`);
}
