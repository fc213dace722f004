/** An outbound listener over a scripted control plane: real sockets, and policies that a test writes down. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { formatAddr, type Addr } from "../../src/addr/name-addr.ts";
import type { SocketAddr } from "../../src/addr/socket-addr.ts";
import type { OutboundPolicyLookup } from "../../src/control/control-plane.ts";
import type { Labels } from "../../src/metrics/registry.ts";
import type { CounterFamily } from "../../src/metrics/family.ts";
import { TargetCache, type OutboundContext, type OutboundOptions } from "../../src/outbound/context.ts";
import { listenOutbound } from "../../src/outbound/stack.ts";
import type { TargetContext } from "../../src/outbound/target-stack.ts";
import type { Backend, ClientPolicy, ClientProtocol, Profile } from "../../src/policy/client-policy.ts";
import { NO_METADATA, type Endpoint } from "../../src/policy/endpoint.ts";
import { metaDefault, type Meta } from "../../src/policy/meta.ts";
import { ConcurrencyLimit } from "../../src/stack/concurrency-limit.ts";
import { Drain } from "../../src/stack/drain.ts";
import { systemClock, type Clock } from "../../src/time/clock.ts";
import { fixed } from "../../src/transport/orig-dst/fixed.ts";
import { TransportMetrics } from "../../src/transport/transport-metrics.ts";
import { WatchCell, type Watch } from "../../src/watch/watch.ts";
import { addr, ScriptedControlPlane, scriptedContext } from "./scripted.ts";

/** Where connections of these tests want to go; nobody is there. */
export const ORIG_DST = "192.0.2.1:8080";
export const PARENT: Meta = metaDefault("parent");

/** Answers at once: what was written down for a target, or that there is nothing. */
export class WrittenControlPlane extends ScriptedControlPlane {
  readonly policies = new Map<string, WatchCell<ClientPolicy>>();
  readonly profiles = new Map<string, WatchCell<Profile>>();
  /** Endpoints of every name. */
  endpoints: readonly Endpoint[] = [];
  readonly asked: string[] = [];

  override watchProfile(target?: Addr): Promise<Watch<Profile> | undefined> {
    return Promise.resolve(target === undefined ? undefined : this.profiles.get(formatAddr(target)));
  }

  override watchOutboundPolicy(target: Addr): Promise<OutboundPolicyLookup> {
    this.asked.push(formatAddr(target));
    const watch = this.policies.get(formatAddr(target));
    return Promise.resolve(watch === undefined ? { kind: "not_found" } : { kind: "found", watch });
  }

  override resolveEndpoints(...args: Parameters<ScriptedControlPlane["resolveEndpoints"]>): void {
    super.resolveEndpoints(...args);
    const [, , listener] = args;
    if (this.endpoints.length > 0) listener.update({ kind: "reset", endpoints: this.endpoints });
  }
}

export interface Outbound {
  readonly control: WrittenControlPlane;
  readonly context: OutboundContext;
  readonly policy: WatchCell<ClientPolicy>;
  /** Dials the listener. */
  dial(): Conversation;
  /** The value of a series, 0 if there is none. */
  readonly count: (family: CounterFamily, labels: Labels) => number;
}

export interface OutboundSetUp {
  readonly protocol: ClientProtocol;
  readonly options?: Partial<OutboundOptions>;
  readonly target?: Partial<TargetContext>;
  readonly origDst?: string;
  readonly control?: WrittenControlPlane;
  /** Default: the system's. */
  readonly clock?: Clock;
}

export async function outbound(t: TestContext, setUp: OutboundSetUp): Promise<Outbound> {
  const { protocol, options, origDst = ORIG_DST, control = new WrittenControlPlane() } = setUp;
  const { clock = systemClock } = setUp;
  const policy = new WatchCell<ClientPolicy>({ parent: PARENT, protocol });
  control.policies.set(origDst, policy);
  const shared = { ...scriptedContext(clock, control), ...setUp.target };
  const targets = new TargetCache(shared, 1_000);
  const context: OutboundContext = {
    ...shared,
    transportMetrics: new TransportMetrics(shared.families),
    origDst: fixed(addr(origDst)),
    drain: new Drain(),
    targets,
    dialsAhead: new ConcurrencyLimit(8),
    options: {
      detectTimeoutMs: 10_000,
      http2Server: {},
      ingressMode: false,
      dialAheadAfterMs: 5,
      ...options,
    },
  };
  const listener = await listenOutbound(context, {
    addrs: [addr("127.0.0.1:0")],
    backlog: undefined,
    keepAliveMs: undefined,
    userTimeoutMs: undefined,
  });
  listener.accept();
  const conversations: Conversation[] = [];
  t.after(() => {
    for (const { socket } of conversations) socket.destroy();
    listener.close();
    targets.close();
  });
  return {
    control,
    context,
    policy,
    dial: () => {
      const conversation = new Conversation(connect(listener.addrs[0]?.port ?? 0, "127.0.0.1"));
      conversations.push(conversation);
      return conversation;
    },
    count: (family, labels) => {
      const { value } = family.cell(labels);
      family.release(labels);
      return value;
    },
  };
}

/** One side of a connection: what it was sent, and how it ended. */
export class Conversation {
  readonly socket: Socket;
  text = "";
  ended = false;
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => (this.text += chunk.toString("latin1")));
    socket.on("end", () => (this.ended = true));
    socket.on("error", () => {});
    socket.on("close", () => (this.closed = true));
  }

  send(text: string): void {
    this.socket.write(text, "latin1");
  }
}

/** Whoever runs what was left to do: a test, or a suite. */
interface Cleanup {
  after(f: () => void): void;
}

/** A server on loopback that remembers its connections. */
export class Peer {
  readonly accepted: Conversation[] = [];
  readonly server: Server;
  readonly addr: SocketAddr;

  private constructor(server: Server) {
    this.server = server;
    // A TCP server that listens has an address, and it is not a string.
    this.addr = addr(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  static async start(t: Cleanup, greet: (conversation: Conversation) => void = () => {}): Promise<Peer> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const peer = new Peer(server);
    server.on("connection", (socket) => {
      const conversation = new Conversation(socket);
      peer.accepted.push(conversation);
      greet(conversation);
    });
    t.after(() => {
      for (const { socket } of peer.accepted) socket.destroy();
      server.close();
    });
    return peer;
  }

  get endpoint(): Endpoint {
    return { addr: this.addr, metadata: NO_METADATA };
  }

  get backend(): Backend {
    return { meta: metaDefault("backend"), dispatcher: { kind: "forward", endpoint: this.endpoint } };
  }
}

/** Everything to one backend: HTTP by `http` where given, bytes by `opaque`. */
export function detect(http: Backend, opaque: Backend = http): Extract<ClientProtocol, { kind: "detect" }> {
  const routes = {
    routes: [
      {
        meta: metaDefault("http"),
        hosts: [],
        rules: [
          {
            matches: [],
            filters: [],
            distribution: { kind: "first_available", backends: [{ backend: http, filters: [] }] },
            timeouts: { requestMs: undefined, responseMs: undefined, idleMs: undefined },
            retry: undefined,
            allowL5dRequestHeaders: false,
          },
        ],
      },
    ],
    failureAccrual: undefined,
  } as const;
  return {
    kind: "detect",
    timeoutMs: 1,
    http1: routes,
    http2: routes,
    opaque: opaqueRoute(opaque),
  };
}

export function opaqueRoute(backend: Backend) {
  return {
    meta: metaDefault("opaque"),
    filters: [],
    distribution: { kind: "first_available", backends: [{ backend, filters: [] }] },
  } as const;
}

/** Waits for a condition, at most five seconds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 5_000;
  while (!holds()) {
    if (performance.now() > deadlineMs) throw new Error(`not after 5s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
