/** An inbound proxy with an HTTP/1 application behind it that keeps every byte, for clients that send any bytes. */
import { once } from "node:events";
import {
  connect as connectHttp2,
  createServer as createHttp2,
  type ClientHttp2Session,
  type Http2Server,
  type ServerHttp2Stream,
} from "node:http2";
import { connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { defaultServerPolicy } from "../../src/policy/default-policies.ts";
import type { ServerPolicy } from "../../src/policy/server-policy.ts";
import { fixed } from "../../src/transport/orig-dst/fixed.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import {
  socketAddr,
  startInbound,
  type InboundListener,
  type InboundListenerOptions,
} from "../conformance/inbound-listener.ts";
import { parsePage, scrape, type Page } from "../metrics/page.ts";
import { listening, portOf, until } from "../socket/pair.ts";
import type { TestCa } from "../support/certs.ts";
import { WEB } from "../tls/mesh-peer.ts";

const PARAMS = { detectTimeoutMs: 10_000, clusterNetworks: [] };
export const OPEN = defaultServerPolicy("all-unauthenticated", PARAMS);
export const MESHED_ONLY = defaultServerPolicy("all-authenticated", PARAMS);

/** A policy under which no request is authorized, whoever sends it. */
export const NOBODY: ServerPolicy = {
  ...OPEN,
  protocol: {
    kind: "detect",
    timeoutMs: 10_000,
    routes:
      OPEN.protocol.kind === "detect"
        ? OPEN.protocol.routes.map((route) => ({ ...route, authorizations: [] }))
        : [],
    rateLimit: undefined,
  },
  authorizations: [],
};

/** A connection that the application got. */
export interface AppConnection {
  received: string;
  readonly remotePort: number;
  closed: boolean;
}

/** Answers each complete HTTP/1 message with 200, and keeps what it was sent. */
export class RawApp {
  readonly server: Server;
  readonly connections: AppConnection[] = [];
  /** Written in answer to a request. */
  answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.server = server;
    server.on("connection", (socket) => {
      const connection: AppConnection = { received: "", remotePort: socket.remotePort ?? 0, closed: false };
      this.connections.push(connection);
      this.#sockets.add(socket);
      let open = "";
      socket.on("error", () => {});
      socket.on("close", () => {
        connection.closed = true;
        this.#sockets.delete(socket);
      });
      socket.on("data", (bytes) => {
        const text = bytes.toString("latin1");
        connection.received += text;
        for (open += text; ;) {
          const length = messageLength(open);
          if (length === 0) return;
          open = open.slice(length);
          socket.write(this.answer, "latin1");
        }
      });
    });
  }

  static async start(): Promise<RawApp> {
    return new RawApp(await listening(createServer()));
  }

  get port(): number {
    return portOf(this.server);
  }

  /** All that came, over all connections. */
  get received(): string {
    return this.connections.map(({ received }) => received).join("");
  }

  forget(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.connections.length = 0;
  }

  close(): void {
    this.forget();
    this.server.close();
  }
}

/** Characters of the first complete message of `text`; 0 if there is none yet. */
function messageLength(text: string): number {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return 0;
  const head = text.slice(0, end + 4);
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  if (!/^transfer-encoding: *chunked/im.test(head))
    return text.length < end + 4 + length ? 0 : end + 4 + length;
  const body = /^(?:[0-9a-f]+(?:;[^\r]*)?\r\n[^]*?\r\n)*?0\r\n(?:[^\r\n]+\r\n)*\r\n/i.exec(
    text.slice(end + 4),
  );
  return body === null ? 0 : end + 4 + body[0].length;
}

/** An inbound proxy in front of something on a port. */
export class HttpLab {
  readonly ca: TestCa;
  readonly listener: InboundListener;
  readonly policy: WatchCell<ServerPolicy>;
  readonly #open = new Set<Socket>();

  private constructor(ca: TestCa, listener: InboundListener, policy: WatchCell<ServerPolicy>) {
    this.ca = ca;
    this.listener = listener;
    this.policy = policy;
  }

  static async start(
    ca: TestCa,
    port: number,
    options: Omit<InboundListenerOptions, "policy"> = {},
  ): Promise<HttpLab> {
    const policy = new WatchCell(OPEN);
    const target = fixed(socketAddr(`127.0.0.1:${port}`));
    return new HttpLab(ca, await startInbound(target, ca, WEB, { ...options, policy }), policy);
  }

  get port(): number {
    return this.listener.addr.port;
  }

  /** A client outside of the mesh. */
  unmeshed(): Socket {
    return this.#track(connect(this.port, "127.0.0.1"));
  }

  /** A client with a certificate for `id`. */
  meshed(id: string): TLSSocket {
    const leaf = this.ca.issue({ id });
    const socket = connectTls({
      port: this.port,
      host: "127.0.0.1",
      servername: WEB,
      ca: this.ca.certPem,
      cert: leaf.chainPem,
      key: leaf.keyPem,
    });
    return this.#track(socket);
  }

  /** A connection of one kind of client or the other. */
  connect(id: string | undefined): Socket {
    return id === undefined ? this.unmeshed() : this.meshed(id);
  }

  /** An HTTP/2 client. */
  http2(id: string | undefined): ClientHttp2Session {
    const session = connectHttp2("http://h.test", { createConnection: () => this.connect(id) });
    return session.on("error", () => {});
  }

  async page(): Promise<Page> {
    return parsePage(await scrape(this.listener.registry));
  }

  close(): void {
    for (const socket of this.#open) socket.destroy();
    this.listener.close();
  }

  #track<S extends Socket>(socket: S): S {
    this.#open.add(socket);
    socket.on("error", () => {}).on("close", () => this.#open.delete(socket));
    return socket;
  }
}

export interface Exchange {
  readonly got: string;
  readonly statuses: readonly number[];
  /** The proxy ended the connection. */
  readonly ended: boolean;
}

/** Sends exact bytes, and waits for so many final responses or for the end of the connection; then for what else may come. */
export async function exchange(socket: Socket, text: string, responses = 1): Promise<Exchange> {
  let got = "";
  let ended = false;
  const closed = new Promise<void>((resolve) => {
    socket.once("end", () => {
      ended = true;
      resolve();
    });
    socket.once("close", () => {
      ended = true;
      resolve();
    });
  });
  const complete = new Promise<void>((resolve) => {
    socket.on("data", (bytes) => {
      got += bytes.toString("latin1");
      if (statusesOf(got).length >= responses && /\r\n\r\n/.test(got)) resolve();
    });
  });
  socket.write(text, "latin1");
  await Promise.race([complete, closed]);
  if (/connection: close/.test(got)) await closed;
  return { got, statuses: statusesOf(got), ended };
}

export function statusesOf(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.[01] (\d{3})/g)]
    .map(([, status]) => Number(status))
    .filter((s) => s >= 200);
}

export interface H2Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly trailers: Readonly<Record<string, unknown>>;
  readonly resetCode: number;
}

/** One request of an HTTP/2 client, to its end. */
export async function ask(
  session: ClientHttp2Session,
  headers: Readonly<Record<string, string | string[]>>,
  body?: { readonly text: string; readonly trailers?: Readonly<Record<string, string>> },
): Promise<H2Answer> {
  // A host alone stays alone.
  const authority = "host" in headers ? {} : { ":authority": "h.test" };
  const stream = session.request(
    { ":path": "/", ...authority, ...headers },
    { endStream: body === undefined, waitForTrailers: body?.trailers !== undefined },
  );
  stream.on("error", () => {}).resume();
  let got: Readonly<Record<string, unknown>> = {};
  let trailers: Readonly<Record<string, unknown>> = {};
  stream.on("response", (fields) => (got = fields as Record<string, unknown>));
  stream.on("trailers", (fields) => (trailers = fields as Record<string, unknown>));
  if (body !== undefined) {
    if (body.trailers !== undefined)
      stream.on("wantTrailers", () => stream.sendTrailers(body.trailers ?? {}));
    stream.end(body.text);
  }
  await once(stream, "close");
  const status = got[":status"];
  return {
    status: typeof status === "number" ? status : undefined,
    headers: got,
    trailers,
    resetCode: stream.rstCode,
  };
}

/** An HTTP/2 application that keeps the headers of its requests and answers 200. */
export async function http2App(): Promise<{
  readonly server: Http2Server;
  readonly seen: Readonly<Record<string, unknown>>[];
  close(): void;
}> {
  const server = await listening(createHttp2());
  const seen: Readonly<Record<string, unknown>>[] = [];
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    seen.push(headers);
    stream.on("error", () => {});
    stream.respond({ ":status": 200 }, { endStream: true });
  });
  return {
    server,
    seen,
    close: () => {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}

export { until };
