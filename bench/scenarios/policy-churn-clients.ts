import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { Pool } from "undici";
import { VERSION_HEADER, type ChurnProtocol } from "./policy-churn-policy.ts";
import type { Observed } from "./policy-churn-history.ts";

type Outcome = Observed["outcome"] | { readonly kind: "wrong"; readonly answer: string };

/** Where a client speaks to: a forward of its proxy, or the port of the other proxy itself. */
export interface ChurnTarget {
  readonly port: number;
  /** Undefined: any. */
  readonly localAddress: string | undefined;
}

/** One client over one protocol, on connections that stay for as long as they are let. */
export interface ChurnConnection {
  ask(): Promise<Outcome>;
  close(): Promise<void> | void;
}

export function churnConnection(protocol: ChurnProtocol, target: ChurnTarget): ChurnConnection {
  switch (protocol) {
    case "http1":
      return new Http1(target);
    case "http2":
    case "grpc":
      return new Http2(target, protocol === "grpc");
    case "tcp":
      return new Tunnel(target);
    default:
      return protocol satisfies never;
  }
}

const HTTP1_CONNECTIONS = 4;

class Http1 implements ChurnConnection {
  readonly #pool: Pool;

  constructor({ port, localAddress }: ChurnTarget) {
    const from = localAddress === undefined ? {} : { localAddress };
    this.#pool = new Pool(`http://127.0.0.1:${port}`, { connections: HTTP1_CONNECTIONS, ...from });
  }

  async ask(): Promise<Outcome> {
    const { statusCode, headers, body } = await this.#pool.request({ path: "/", method: "GET" });
    await body.dump();
    return outcomeOf(statusCode === 200, statusCode === 403, headers);
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

class Http2 implements ChurnConnection {
  readonly #target: ChurnTarget;
  readonly #isGrpc: boolean;
  #session: ClientHttp2Session | undefined = undefined;

  constructor(target: ChurnTarget, isGrpc: boolean) {
    this.#target = target;
    this.#isGrpc = isGrpc;
  }

  async ask(): Promise<Outcome> {
    this.#session ??= this.#connect();
    const headers = this.#isGrpc
      ? { ":method": "POST", ":path": "/shop.Stock/Get", "content-type": "application/grpc", te: "trailers" }
      : { ":path": "/" };
    const stream = this.#session.request(headers);
    stream.end();
    const [head] = (await once(stream, "response")) as [Headers];
    stream.resume();
    if (!stream.closed) await once(stream, "close");
    const status = Number(head[":status"]);
    if (!this.#isGrpc) return outcomeOf(status === 200, status === 403, head);
    const code = head["grpc-status"];
    return outcomeOf(status === 200 && code === "0", status === 200 && code === "7", head);
  }

  close(): void {
    this.#session?.destroy();
  }

  #connect(): ClientHttp2Session {
    const session = connectHttp2(`http://127.0.0.1:${this.#target.port}`, {
      createConnection: () => dial(this.#target),
    });
    session.on("error", () => {}).once("close", () => (this.#session = undefined));
    return session;
  }
}

/** A connection of bytes that is asked again and again; when it is gone, a new one is tried. */
class Tunnel implements ChurnConnection {
  readonly #target: ChurnTarget;
  #socket: Socket | undefined = undefined;

  constructor(target: ChurnTarget) {
    this.#target = target;
  }

  async ask(): Promise<Outcome> {
    const socket = this.#socket ?? this.#dial();
    this.#socket = socket;
    socket.write("?");
    // `Promise.race` would leave a listener behind for each question.
    const back = await new Promise<boolean>((resolve) => {
      const onData = (): void => done(true);
      const onClose = (): void => done(false);
      const done = (came: boolean): void => {
        socket.off("data", onData).off("close", onClose);
        resolve(came);
      };
      socket.on("data", onData).on("close", onClose);
    });
    return back ? { kind: "admitted", version: undefined } : { kind: "refused" };
  }

  close(): void {
    this.#socket?.destroy();
  }

  #dial(): Socket {
    const socket = dial(this.#target).on("error", () => {});
    // It may be cut while nobody asks: the next question then is one for a new connection.
    return socket.once("close", () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
  }
}

function dial({ port, localAddress }: ChurnTarget): Socket {
  const from = localAddress === undefined ? {} : { localAddress };
  return connectTcp({ host: "127.0.0.1", port, noDelay: true, ...from });
}

type Headers = Readonly<Record<string, string | string[] | number | undefined>>;

function outcomeOf(admitted: boolean, refused: boolean, headers: Headers): Outcome {
  if (admitted) return { kind: "admitted", version: Number(headers[VERSION_HEADER]) };
  return refused ? { kind: "refused" } : { kind: "wrong", answer: JSON.stringify(headers) };
}
