/**
 * An inbound listener as the proxy composes it, with an application that remembers who came, policies that a test writes
 * down, and peers that send what no proxy would.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { connect as tlsConnect, type TLSSocket } from "node:tls";
import type { SocketAddr } from "../../src/addr/socket-addr.ts";
import { ApplicationClients } from "../../src/inbound/application.ts";
import type { Gateway, InboundContext } from "../../src/inbound/context.ts";
import { PolicyStore } from "../../src/inbound/policy-store.ts";
import { listenInbound } from "../../src/inbound/stack.ts";
import { NO_LOG, type Log, type LogFields } from "../../src/log/log.ts";
import { createFamilies } from "../../src/metrics/families.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import { parsed } from "../../src/parsed.ts";
import { defaultServerPolicy } from "../../src/policy/default-policies.ts";
import type { ServerPolicy } from "../../src/policy/server-policy.ts";
import { Drain } from "../../src/stack/drain.ts";
import { systemClock, type Clock } from "../../src/time/clock.ts";
import { HandshakePacer } from "../../src/tls/handshake-pacer.ts";
import { Terminator } from "../../src/tls/terminate.ts";
import type { Listener } from "../../src/transport/listen.ts";
import { TransportMetrics } from "../../src/transport/transport-metrics.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import { TRANSPORT_HEADER_ALPN } from "../../src/wire/transport-header.ts";
import { parsePage, scrape, type Page } from "../metrics/page.ts";
import { addr, ScriptedControlPlane } from "../outbound/scripted.ts";
import { TestCa, type TestLeaf } from "../support/certs.ts";
import { certifiedStore, WEB } from "../tls/mesh-peer.ts";

const PARAMS = { detectTimeoutMs: 10_000, clusterNetworks: [] };
export const OPEN = defaultServerPolicy("all-unauthenticated", PARAMS);
export const MESHED = defaultServerPolicy("all-authenticated", PARAMS);
export const DENY = defaultServerPolicy("deny", PARAMS);

export interface LabOptions {
  readonly detectTimeoutMs?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
  readonly gateway?: Gateway;
  /** Gets each connection to the application; it echoes if absent. */
  readonly application?: (socket: Socket) => void;
}

export class DirectLab {
  readonly ca = TestCa.create();
  /** Policies by port; others are denied. */
  readonly policies = new Map<number, WatchCell<ServerPolicy>>();
  /** Connections that reached the application. */
  readonly reached: Socket[] = [];
  /** Ports that are the proxy's own, besides that of the listener. */
  readonly ownPorts = new Set<number>();
  /** Lines that were logged about connections and requests. */
  readonly logged: string[] = [];
  /** Where the clients of connections to come mean to go; default: to the listener itself. */
  origDst: SocketAddr | undefined;
  readonly #application: Server;
  readonly #registry = new MetricRegistry(systemClock, 600_000);
  readonly #closers: (() => void)[] = [];
  readonly #sockets = new Set<Socket>();
  #listener: Listener | undefined = undefined;

  private constructor({ application }: LabOptions) {
    this.#application = createServer((socket) => {
      this.reached.push(socket);
      socket.on("error", () => {});
      if (application === undefined) socket.pipe(socket);
      else application(socket);
    });
  }

  static async start(options: LabOptions = {}): Promise<DirectLab> {
    const lab = new DirectLab(options);
    await new Promise<void>((resolve) => lab.#application.listen(0, "127.0.0.1", resolve));
    lab.#listener = await listenInbound(lab.#context(options), {
      addr: addr("127.0.0.1:0"),
      backlog: undefined,
      keepAliveMs: undefined,
      userTimeoutMs: undefined,
    });
    lab.#listener.accept();
    return lab;
  }

  #context({ detectTimeoutMs = 10_000, clock = systemClock, gateway }: LabOptions): InboundContext {
    const families = createFamilies(this.#registry);
    const transportMetrics = new TransportMetrics(families);
    this.#registry.beforeScrape(() => transportMetrics.refresh());
    const log = recording((line) => this.logged.push(line));
    const base = { clock, random: Math.random, log, families, transportMetrics };
    const { credentials } = certifiedStore(this.ca, WEB);
    const control = new WrittenPolicies(this.policies);
    const policies = new PolicyStore({
      clock,
      control,
      defaultPolicy: () => DENY,
      permanentPorts: [],
      idleTimeoutMs: 10,
    });
    const isOwnPort = (port: number): boolean => port === this.port || this.ownPorts.has(port);
    const applications = new ApplicationClients(base, APPLICATION, isOwnPort);
    this.#closers.push(
      () => policies.close(),
      () => applications.close(),
    );
    return {
      ...base,
      origDst: { name: "lab", lookup: ({ localAddr }) => parsed(this.origDst ?? localAddr) },
      credentials,
      terminator: new Terminator({ credentials, pacer: new HandshakePacer(), clock }),
      policies,
      applications,
      drain: new Drain(),
      ...(gateway === undefined ? {} : { gateway }),
      options: { ips: [], detectTimeoutMs, http2Server: {} },
    };
  }

  get port(): number {
    return this.#listener?.addrs[0]?.port ?? 0;
  }

  get appPort(): number {
    // A TCP server that listens has an address, and it is not a string.
    return (this.#application.address() as AddressInfo).port;
  }

  setPolicy(port: number, policy: ServerPolicy): void {
    const watch = this.policies.get(port);
    if (watch === undefined) this.policies.set(port, new WatchCell(policy));
    else watch.publish(policy);
  }

  /** A meshed peer, unless told otherwise. */
  dial(options: DialOptions = {}): Peer {
    const { id = CLIENT, alpn = [TRANSPORT_HEADER_ALPN], sni = WEB } = options;
    const leaf: TestLeaf | undefined = id === undefined ? undefined : this.ca.issue({ id });
    const socket = tlsConnect({
      host: "127.0.0.1",
      port: this.port,
      servername: sni,
      ca: this.ca.certPem,
      checkServerIdentity: () => undefined,
      minVersion: "TLSv1.3",
      ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
      ...(options.anonymous === true || leaf === undefined ? {} : { key: leaf.keyPem, cert: leaf.chainPem }),
    });
    return this.#peer(socket);
  }

  dialInClear(): Peer {
    return this.#peer(connect(this.port, "127.0.0.1"));
  }

  #peer(socket: Socket | TLSSocket): Peer {
    this.#sockets.add(socket);
    return new Peer(socket);
  }

  async page(): Promise<Page> {
    return parsePage(await scrape(this.#registry));
  }

  close(): void {
    for (const socket of [...this.#sockets, ...this.reached]) socket.destroy();
    this.#listener?.close();
    this.#application.close();
    for (const close of this.#closers) close();
  }
}

class WrittenPolicies extends ScriptedControlPlane {
  readonly #policies: ReadonlyMap<number, WatchCell<ServerPolicy>>;

  constructor(policies: ReadonlyMap<number, WatchCell<ServerPolicy>>) {
    super();
    this.#policies = policies;
  }

  override watchServerPolicy(port: number, initial: ServerPolicy): WatchCell<ServerPolicy> {
    return this.#policies.get(port) ?? new WatchCell(initial);
  }
}

export const CLIENT = "client.shop.serviceaccount.identity.linkerd.cluster.local";

export interface DialOptions {
  readonly id?: string;
  /** Without any certificate. */
  readonly anonymous?: boolean;
  readonly alpn?: readonly string[];
  readonly sni?: string;
}

const APPLICATION = {
  connectTimeoutMs: 1_000,
  connectKeepAliveMs: undefined,
  connectUserTimeoutMs: undefined,
  connectBackoff: { minMs: 100, maxMs: 1_000, jitter: 0 },
  http2Client: {},
  maxIdleHttp1: 10,
  http1IdleTimeoutMs: 1_000,
  queueCapacity: 100,
  maxInFlight: 100,
  failfastTimeoutMs: 100,
  idleTimeoutMs: 10,
} as const;

/** The far end of a connection: what it was sent, and how it ended. */
export class Peer {
  readonly socket: Socket;
  text = "";
  /** What the local TLS stack said of the end, if it ended badly. */
  error: string | undefined = undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => (this.text += chunk.toString("latin1")));
    socket.on("error", (error) => (this.error = error.message));
  }

  send(...parts: readonly (Buffer | string)[]): this {
    for (const part of parts) this.socket.write(part);
    return this;
  }

  /** Everything that came until the connection was closed. Ends like others are taken as such. */
  async closed(): Promise<string> {
    if (!this.socket.closed) await new Promise((resolve) => this.socket.once("close", resolve));
    return this.text;
  }
}

function recording(take: (message: string) => void): Log {
  const line = (message: string, fields?: LogFields): void =>
    take(fields?.["error"] === undefined ? message : `${message}: ${String(fields["error"])}`);
  const log: Log = { ...NO_LOG, enabled: () => true, info: line, warn: line, debug: line, error: line };
  return log;
}
