/** An inbound listener with a controller and an application whose every answer and connection a test sees. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { connect as connectTcp, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { duplexPair } from "node:stream";
import { text } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ServerWritableStream } from "@grpc/grpc-js";
import { parseAddr } from "../../../src/addr/name-addr.ts";
import { ControlClient } from "../../../src/control/control-client.ts";
import { GrpcControlPlane } from "../../../src/control/grpc-control-plane.ts";
import { NO_LIMITS } from "../../../src/control/receive-limits.ts";
import type { StreamContext } from "../../../src/control/stream-context.ts";
import type { Log, LogFields } from "../../../src/log/log.ts";
import { metaName } from "../../../src/policy/meta.ts";
import {
  ServerSchema,
  type AuthzSchema,
  type Authz,
  type PortSpec,
  type Server as ServerMessage,
} from "../../../src/proto/gen/inbound_pb.js";
import { systemClock } from "../../../src/time/clock.ts";
import { fixed } from "../../../src/transport/orig-dst/fixed.ts";
import {
  socketAddr,
  startInbound,
  unwrap,
  type InboundListener,
  type InboundListenerOptions,
} from "../../conformance/inbound-listener.ts";
import { ScriptedServer } from "../../control/scripted-server.ts";
import { parsePage, scrape } from "../../metrics/page.ts";
import { TestCa, type TestLeaf } from "../../support/certs.ts";
import { until } from "../../socket/pair.ts";

export const WEB = "web.shop.serviceaccount.identity.linkerd.cluster.local";
export const FRIEND = "friend.shop.serviceaccount.identity.linkerd.cluster.local";
export const STRANGER = "stranger.other.serviceaccount.identity.linkerd.cluster.local";
export const SPIFFE = "spiffe://root.linkerd.cluster.local/friend";

/** Where clients come from unless a test says otherwise: loopback, but not the address that always may. */
export const ELSEWHERE = "127.0.0.9";

export type ServerInit = Exclude<MessageInitShape<typeof ServerSchema>, ServerMessage>;
export type AuthzInit = Exclude<MessageInitShape<typeof AuthzSchema>, Authz>;

/** Network blocks as the API has them, IPv4 as text. */
export function ipv4(block: string, except: readonly string[] = []) {
  return { net: ipv4Net(block), except: except.map(ipv4Net) };
}

function ipv4Net(block: string) {
  const [address = "", prefixLen = "32"] = block.split("/");
  const value = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  return { ip: { ip: { case: "ipv4" as const, value } }, prefixLen: Number(prefixLen) };
}

export const EVERYWHERE: NonNullable<AuthzInit["networks"]> = [
  ipv4("0.0.0.0/0"),
  { net: { ip: { ip: { case: "ipv6", value: {} } } } },
];

export function anybody(name: string, networks = EVERYWHERE): AuthzInit {
  return {
    networks,
    authentication: { permit: { case: "unauthenticated", value: {} } },
    labels: { group: "policy.linkerd.io", kind: "authorizationpolicy", name },
  };
}

/** @param suffixes as parts; none at all is every DNS identity. */
export function identified(name: string, identities: string[], suffixes: string[][] = []): AuthzInit {
  const clients = {
    case: "identities" as const,
    value: {
      identities: identities.map((id) => ({ name: id })),
      suffixes: suffixes.map((parts) => ({ parts })),
    },
  };
  return { ...anybody(name), authentication: { permit: { case: "meshTLS", value: { clients } } } };
}

/** A Server that detects its protocol. */
export function server(name: string, authorizations: AuthzInit[], rest: ServerInit = {}): ServerInit {
  return {
    labels: { group: "policy.linkerd.io", kind: "server", name },
    protocol: { kind: { case: "detect", value: { timeout: { seconds: 10n } } } },
    authorizations,
    ...rest,
  };
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
}

export interface LoggedEvent {
  readonly message: string;
  readonly fields: LogFields;
}

export class PolicyLab {
  readonly app: CountingApp;
  readonly controller: ScriptedServer;
  readonly inbound: InboundListener;
  /** Events at info and above. */
  readonly events: LoggedEvent[];
  readonly ca: TestCa;
  readonly #client: ControlClient;
  readonly #leaves = new Map<string, TestLeaf>();
  readonly #sockets = new Set<Socket>();
  #stream: ServerWritableStream<PortSpec, ServerMessage> | undefined = undefined;

  private constructor(parts: {
    app: CountingApp;
    controller: ScriptedServer;
    inbound: InboundListener;
    events: LoggedEvent[];
    ca: TestCa;
    client: ControlClient;
  }) {
    ({ app: this.app, controller: this.controller, inbound: this.inbound } = parts);
    ({ events: this.events, ca: this.ca, client: this.#client } = parts);
  }

  static async start(options: InboundListenerOptions = {}): Promise<PolicyLab> {
    const app = await CountingApp.start();
    const controller = await new ScriptedServer().start();
    const events: LoggedEvent[] = [];
    const log = options.log ?? eventLog(events);
    const backoff = { minMs: 5, maxMs: 20, jitter: 0 };
    const client = new ControlClient({
      service: "policy",
      address: unwrap(parseAddr(`127.0.0.1:${controller.port}`)),
      tls: undefined,
      connectTimeoutMs: 1_000,
      backoff,
      clock: systemClock,
      log,
    });
    const context: StreamContext = { client, limits: NO_LIMITS, backoff, clock: systemClock, log };
    const control = new GrpcControlPlane({
      destination: context,
      policy: context,
      contextToken: "",
      workload: '{"ns":"shop","external_workload":"web"}',
      outboundDetectTimeoutMs: 10_000,
      inboundDetectTimeoutMs: 10_000,
    });
    const ca = TestCa.create();
    const permanentPorts = [{ low: app.port, high: app.port }];
    const target = socketAddr(`127.0.0.1:${app.port}`);
    const inbound = await startInbound(fixed(target), ca, WEB, { control, permanentPorts, ...options, log });
    return new PolicyLab({ app, controller, inbound, events, ca, client });
  }

  /** Sends a policy and waits until it is in force: `name` is what metrics then call the server. */
  async publish(init: ServerInit, name = init.labels?.["name"] ?? ""): Promise<void> {
    this.#stream ??= await this.controller.watchPort.next();
    this.#stream.write(create(ServerSchema, init));
    await this.untilInForce(name);
  }

  async untilInForce(name: string): Promise<void> {
    const held = this.inbound.policies.acquire(this.app.port);
    await until(`policy ${name} is in force`, () => metaName(held.value.policy.value.policy.meta) === name);
    held.release();
  }

  /** The controller dies, with all of its connections. */
  kill(): void {
    this.controller.kill();
    this.#stream = undefined;
  }

  /** @param as whose certificate the client shows: undefined: clear text; "": TLS without a certificate. */
  async connect(as: string | undefined, from = ELSEWHERE): Promise<Socket> {
    const { ip, port } = this.inbound.addr;
    const host = from.includes(":") ? "::1" : ip.text === "::" ? "127.0.0.1" : ip.text;
    const tcp = connectTcp({ host, port, localAddress: from, noDelay: true });
    this.#sockets.add(tcp);
    tcp.on("error", () => {}).once("close", () => this.#sockets.delete(tcp));
    await once(tcp, "connect");
    if (as === undefined) return tcp;
    const leaf = as === "" ? undefined : (this.#leaves.get(as) ?? this.ca.issue({ id: as }));
    if (leaf !== undefined) this.#leaves.set(as, leaf);
    const tls = connectTls({
      socket: tcp,
      servername: WEB,
      ca: this.ca.certPem,
      checkServerIdentity: () => undefined,
      ...(leaf === undefined ? {} : { cert: leaf.chainPem, key: leaf.keyPem }),
    });
    tls.on("error", () => {});
    await once(tls, "secureConnect");
    return tls;
  }

  /** One HTTP/1 request on a connection of its own. */
  async get(as: string | undefined, request: RequestInit = {}, from = ELSEWHERE): Promise<HttpAnswer> {
    const socket = await this.connect(as, from);
    try {
      return await http1(socket, request);
    } finally {
      socket.destroy();
    }
  }

  /** One HTTP/2 request on a connection of its own. */
  async get2(as: string | undefined, headers: Readonly<Record<string, string>> = {}): Promise<HttpAnswer> {
    const socket = await this.connect(as);
    const session = connectHttp2("http://web", { createConnection: () => socket });
    session.on("error", () => {});
    try {
      const stream = session.request({ ":path": "/", ...headers });
      const [head] = await once(stream, "response");
      await text(stream);
      const entries = Object.entries(head).map(([name, value]) => [name, String(value)] as const);
      return { status: Number(head[":status"]), headers: new Map(entries) };
    } finally {
      session.destroy();
    }
  }

  /** Bytes that are not HTTP. @returns whether they came back; false if the connection was closed without a byte. */
  async echo(as: string | undefined, from = ELSEWHERE): Promise<boolean> {
    const socket = await this.connect(as, from);
    try {
      return await echo(socket);
    } finally {
      socket.destroy();
    }
  }

  /** Sum of the samples of a counter that carry the labels. */
  async count(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const { samples } = parsePage(await scrape(this.inbound.registry));
    return samples
      .filter((s) => s.name === name && Object.entries(labels).every(([k, v]) => s.labels.get(k) === v))
      .reduce((total, { value }) => total + value, 0);
  }

  /** The next event with this message. */
  async heard(message: string): Promise<LogFields> {
    let found: LoggedEvent | undefined;
    await until(`"${message}" is logged`, () => {
      found = this.events.find((event) => event.message === message);
      return found !== undefined;
    });
    assert.ok(found);
    return found.fields;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.inbound.close();
    this.#client.close();
    this.controller.kill();
    await this.app.close();
  }
}

export interface RequestInit {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One HTTP/1 request on a connection that stays. @throws if it is closed instead. */
export async function http1(
  socket: Socket,
  { path = "/", method = "GET", headers = {} }: RequestInit = {},
): Promise<HttpAnswer> {
  const lines = Object.entries({ host: "web", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  let received = "";
  while (!received.includes("\r\n\r\n")) {
    const piece: Buffer | null = socket.read();
    if (piece === null) {
      if (socket.destroyed || socket.readableEnded) throw new Error("closed without a response");
      await Promise.race([once(socket, "readable"), once(socket, "close")]);
      continue;
    }
    received += piece.toString("latin1");
  }
  const [statusLine = "", ...fields] = received.slice(0, received.indexOf("\r\n\r\n")).split("\r\n");
  return {
    status: Number(statusLine.split(" ")[1]),
    headers: new Map(
      fields.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    ),
  };
}

/** Whether bytes that are not HTTP come back. */
export async function echo(socket: Socket): Promise<boolean> {
  socket.write("\u0001not HTTP\n");
  for (;;) {
    const piece: Buffer | null = socket.read();
    // A server of HTTP may say what it thinks of them.
    if (piece !== null) return piece[0] === 1;
    if (socket.destroyed || socket.readableEnded) return false;
    await Promise.race([once(socket, "readable"), once(socket, "close")]);
  }
}

/** An application that answers HTTP/1 and HTTP/2 with 200 and sends all other bytes back. */
export class CountingApp {
  /** Connections, also those that a proxy dialled and then had no use for. */
  accepted = 0;
  /** Reads of them: requests, as the tests send them, or other bytes. */
  served = 0;
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(): Promise<CountingApp> {
    const sockets = new Set<Socket>();
    const http2 = createHttp2Server((_, response) => {
      response.end("ok");
    });
    let app: CountingApp | undefined;
    const server = createServer((socket) => {
      if (app !== undefined) app.accepted++;
      sockets.add(socket);
      socket.on("error", () => {}).once("close", () => sockets.delete(socket));
      socket.on("data", () => {
        if (app !== undefined) app.served++;
      });
      socket.once("data", (first: Buffer) => {
        if (first.toString("latin1", 0, 3) === "PRI") {
          // Node's server reads past what a socket was given back.
          const [theirs, ours] = duplexPair();
          ours.write(first);
          socket
            .pipe(ours)
            .on("error", () => {})
            .pipe(socket);
          http2.emit(
            "connection",
            theirs.on("error", () => {}),
          );
          return;
        }
        const answer = (bytes: Buffer): void => {
          const isRequest = /^[A-Z]+ \//.test(bytes.toString("latin1"));
          socket.write(isRequest ? "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" : bytes);
        };
        answer(first);
        socket.on("data", answer);
      });
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    app = new CountingApp(server, sockets);
    return app;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function eventLog(events: LoggedEvent[]): Log {
  const event = (message: string, fields: LogFields = {}): void => void events.push({ message, fields });
  const log: Log = {
    trace: () => {},
    debug: () => {},
    info: event,
    warn: event,
    error: event,
    enabled: (level) => level !== "trace" && level !== "debug",
    target: () => log,
    span: () => log,
  };
  return log;
}
