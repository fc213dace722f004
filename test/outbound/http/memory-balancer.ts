/** A whole HTTP balancer with its endpoint stacks and real codecs, over memory: servers are scripted, time is told to move. */
import { setImmediate as turn } from "node:timers/promises";
import { formatSocketAddr } from "../../../src/addr/socket-addr.ts";
import { ProxyError } from "../../../src/errors/proxy-error.ts";
import type { RequestHead, Sink } from "../../../src/http/message.ts";
import { H1Server } from "../../../src/http/server/h1.ts";
import { H2Server } from "../../../src/http/server/h2.ts";
import { Dialer } from "../../../src/outbound/dial.ts";
import { HttpBalancer } from "../../../src/outbound/http/balancer.ts";
import type { BreakerPolicy } from "../../../src/outbound/http/breaker.ts";
import { EndpointStack, type EndpointContext } from "../../../src/outbound/http/endpoint.ts";
import type { LoadParams } from "../../../src/policy/client-policy.ts";
import { NO_METADATA, type Endpoint, type EndpointMetadata } from "../../../src/policy/endpoint.ts";
import { DEFAULT_LOAD } from "../../../src/policy/synthesize.ts";
import type { Transport } from "../../../src/transport/transport.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import {
  RecordingSink,
  requestHead,
  ScriptedService,
  type ServedRequest,
} from "../../support/h2-exchange.ts";
import { MemoryPair } from "../../support/memory-transport.ts";
import { fieldsOf, responseHead } from "../../support/recording-app.ts";
import { addr, ScriptedControlPlane, scriptedContext } from "../scripted.ts";

/** A server at an address: it answers what its service says, or refuses connections. */
export interface MemoryServer {
  readonly service: ScriptedService;
  readonly pairs: MemoryPair[];
  readonly connections: (H1Server | H2Server)[];
  refuses: boolean;
}

/** A request and what came of it. */
export interface Sent {
  readonly response: RecordingSink;
  readonly request: Sink;
}

export interface MemoryBalancerOptions {
  readonly version?: 1 | 2;
  readonly breaker?: BreakerPolicy;
  readonly load?: LoadParams;
  readonly random?: () => number;
}

export const FAILFAST_MS = 3_000;

export class MemoryBalancer {
  readonly clock = new FakeClock(1_000);
  readonly balancer: HttpBalancer;
  readonly #servers = new Map<string, MemoryServer>();
  readonly #version: 1 | 2;
  /** Whether the balancer has ended its resolution. */
  resolutionEnded = false;

  constructor({ version = 1, breaker, load = DEFAULT_LOAD, random = () => 0 }: MemoryBalancerOptions = {}) {
    this.#version = version;
    const base = scriptedContext(this.clock, new ScriptedControlPlane());
    const dialer = new MemoryDialer((endpoint) => this.#accept(endpoint));
    const context: EndpointContext = { ...base, random, dialer };
    this.balancer = new HttpBalancer({
      clock: this.clock,
      random,
      queueCapacity: 10,
      failfastTimeoutMs: FAILFAST_MS,
      name: "backend Service.shop.web:80",
      makeEndpoint: (endpoint, changed) =>
        new EndpointStack(
          { endpoint, version, load, authority: "web.shop.svc.cluster.local", breaker },
          context,
          changed,
        ),
      onClose: () => (this.resolutionEnded = true),
    });
  }

  server(at: string): MemoryServer {
    let server = this.#servers.get(at);
    if (server === undefined) {
      server = { service: new ScriptedService(), pairs: [], connections: [], refuses: false };
      this.#servers.set(at, server);
    }
    return server;
  }

  async add(...at: readonly string[]): Promise<void> {
    this.balancer.update({ kind: "add", endpoints: at.map((text) => endpointAt(text)) });
    await this.settle();
  }

  /** Sends a request without a body. */
  async send(head: RequestHead = get(this.#version)): Promise<Sent> {
    const response = new RecordingSink();
    const request = this.balancer.call(head, true, response);
    response.source = request;
    await this.settle();
    return { response, request };
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms);
    await this.settle();
  }

  /** Lets everything move until it rests, dials included. */
  async settle(): Promise<void> {
    for (let i = 0; i < 5; i++) {
      for (const { pairs } of this.#servers.values()) for (const pair of pairs) pair.settle();
      // Connections flush once per turn of the event loop.
      await turn();
    }
  }

  #accept(endpoint: Endpoint): Transport {
    const server = this.server(formatSocketAddr(endpoint.addr));
    if (server.refuses) throw new ProxyError("io", "connection refused", { side: "upstream" });
    const pair = new MemoryPair();
    // Not before the client has attached itself: bytes that nobody takes are lost.
    setImmediate(() => server.pairs.push(pair));
    const Server = this.#version === 1 ? H1Server : H2Server;
    server.connections.push(new Server(pair.right, server.service, { clock: this.clock }));
    return pair.left;
  }
}

/** Connects to memory. It never gets as far as the options that only sockets need. */
class MemoryDialer extends Dialer {
  readonly #accept: (endpoint: Endpoint) => Transport;

  constructor(accept: (endpoint: Endpoint) => Transport) {
    super({ localIps: [], allowLoopback: true } as unknown as ConstructorParameters<typeof Dialer>[0]);
    this.#accept = accept;
  }

  override dial(endpoint: Endpoint): ReturnType<Dialer["dial"]> {
    return new Promise((resolve) => {
      // The clients see the interface alone.
      resolve(this.#accept(endpoint) as unknown as Awaited<ReturnType<Dialer["dial"]>>);
    });
  }
}

export function endpointAt(text: string, metadata: EndpointMetadata = NO_METADATA): Endpoint {
  return { addr: addr(text), metadata };
}

/** A request of the HTTP version that the balancer is for, with further fields as `name: value`. */
export function get(version: 1 | 2 = 1, ...lines: readonly string[]): RequestHead {
  const head = requestHead("GET", "/", ...fieldsOf(version === 1 ? ["host: h.test", ...lines] : lines));
  if (version === 1) head.version = 11;
  return head;
}

/** Answers every request with this status and no body. */
export function answering(status: number, ...lines: readonly string[]): (served: ServedRequest) => void {
  return ({ response }) => response.head(responseHead(status, "content-length: 0", ...lines), true);
}
