/** What `npm run bench` can measure. */
import type { FigureName } from "./figures.ts";
import type { LoadSpec } from "./load/load-spec.ts";
import type { Job, Peer } from "./peers/peer.ts";
import { COST_OF_ENDPOINTS, COST_OF_POLICY, COST_OF_ROUTE_POLICY, COST_OF_ROUTES } from "./variants.ts";

/** Where and for how long is the runner's business. */
export type Load = Omit<LoadSpec, "port" | "authority" | "warmUpSeconds" | "seconds" | "processes">;

interface Common {
  readonly name: string;
  readonly title: string;
  /** What the scenario is about: it comes first in the tables, and its ratio counts. */
  readonly subject: FigureName;
  readonly job: Job;
  /** Ways to compare with besides, also when no proxy is: ourselves with other manifests. */
  readonly variants?: readonly Peer[];
}

/** All proxies run at once and take turns under the same load. */
export interface LoadScenario extends Common {
  readonly kind: "load";
  readonly load: Load;
  /** Who makes the load; our own load process if nothing is said. */
  readonly generator?: "autocannon";
  /** Seconds of a round at least: rare requests need time until there is a tail to speak of, autocannon to get going. */
  readonly secondsAtLeast?: number;
  /** Loopback addresses that the application answers on besides 127.0.0.1. */
  readonly addresses?: number;
}

/** One proxy after the other holds connections that say nothing. */
export interface IdleScenario extends Common {
  readonly kind: "idle";
  readonly connections: number;
}

/** One proxy after the other is started. */
export interface StartScenario extends Common {
  readonly kind: "start";
}

/** Ourselves for minutes; measured only when asked for. */
export interface SoakScenario extends Common {
  readonly kind: "soak";
  readonly load: Load;
}

export type Scenario = LoadScenario | IdleScenario | StartScenario | SoakScenario;

const KIB = 1024;
const MIB = 1024 * KIB;

const SMALL = { requestBytes: 0, responseBytes: KIB };
/** As many clients as a busy application has, each with one request at a time. */
const MANY = { connections: 64, streams: 1 };
const ONE = { connections: 1, streams: 1 };
/** The rate at which tails are compared: far from saturation for every proxy worth comparing with. */
const STEADY = { connections: 16, streams: 1, ratePerSecond: 2_000 };

const HTTP1 = { protocol: "http1" } as const;
const HTTP2 = { protocol: "http2" } as const;
const GRPC = { protocol: "grpc" } as const;
const TCP = { protocol: "tcp" } as const;

function hop(protocol: Job["protocol"]): Job {
  return { topology: "hop", protocol };
}

function pair(protocol: Job["protocol"]): Job {
  return { topology: "pair", protocol };
}

/** Processor time per request at saturation. */
function cost(name: string, title: string, job: Job, load: Load, more: Partial<LoadScenario> = {}): Scenario {
  return { kind: "load", name, title, subject: "cpuMicros", job, load, ...more };
}

/** A round of a tail has dozens of short stretches, of which a quarter is quiet. */
const TAIL_SECONDS = 4;

/** The tail at a given rate. */
function tail(name: string, title: string, job: Job, load: Load, more: Partial<LoadScenario> = {}): Scenario {
  return {
    kind: "load",
    name,
    title,
    subject: "quietP99Micros",
    job,
    load,
    secondsAtLeast: TAIL_SECONDS,
    ...more,
  };
}

/** One large body at a time. */
function bulk(name: string, title: string, requestBytes: number, responseBytes: number): Scenario {
  const load = { ...HTTP2, ...ONE, requestBytes, responseBytes };
  return { kind: "load", name, title, subject: "mibPerSecond", job: pair("http2"), load };
}

/** As the published benchmarks of service meshes have it: HTTP/1 at a fixed rate over 100 connections. */
function mesh(ratePerSecond: number, secondsAtLeast: number): Scenario {
  const load = { ...HTTP1, ...SMALL, connections: 100, streams: 1, ratePerSecond };
  const rate = ratePerSecond.toLocaleString("en");
  const title = `pair over mutual TLS, HTTP/1, ${rate} requests a second over 100 connections`;
  return tail(`mesh-${ratePerSecond}`, title, pair("http1"), load, { secondsAtLeast });
}

function idle(connections: number): Scenario {
  return {
    kind: "idle",
    name: `idle-${connections}`,
    title: `pair over mutual TLS, ${connections.toLocaleString("en")} idle HTTP/1 connections that sent one request each`,
    subject: "bytesPerConnection",
    job: pair("http1"),
    connections,
  };
}

export const SCENARIOS: readonly Scenario[] = [
  cost("hop-http1", "one proxy in clear text, HTTP/1, 64 connections", hop("http1"), {
    ...{ ...HTTP1, ...MANY, ...SMALL },
  }),
  cost("hop-http2", "one proxy in clear text, HTTP/2, 64 connections", hop("http2"), {
    ...{ ...HTTP2, ...MANY, ...SMALL },
  }),
  cost(
    "hop-http2-streams",
    "one proxy in clear text, HTTP/2, 8 connections with 100 requests at once on each",
    hop("http2"),
    { ...HTTP2, ...SMALL, connections: 8, streams: 100 },
  ),
  cost("hop-tcp", "one proxy in clear text, TCP, exchanges of 1 KiB on 64 connections", hop("tcp"), {
    ...{ ...TCP, ...MANY, requestBytes: KIB, responseBytes: KIB },
  }),
  cost("pair-http1", "pair over mutual TLS, HTTP/1, 64 connections", pair("http1"), {
    ...{ ...HTTP1, ...MANY, ...SMALL },
  }),
  cost(
    "pair-http1-autocannon",
    "pair over mutual TLS, HTTP/1, 64 connections of autocannon",
    pair("http1"),
    { ...HTTP1, ...MANY, ...SMALL },
    { generator: "autocannon", secondsAtLeast: 3 },
  ),
  cost("pair-http2", "pair over mutual TLS, HTTP/2, 64 connections", pair("http2"), {
    ...{ ...HTTP2, ...MANY, ...SMALL },
  }),
  cost(
    "pair-http2-streams",
    "pair over mutual TLS, HTTP/2, 8 connections with 100 requests at once on each",
    pair("http2"),
    { ...HTTP2, ...SMALL, connections: 8, streams: 100 },
  ),
  cost(
    "pair-grpc",
    "pair over mutual TLS, unary gRPC calls of 100 bytes answered by 1 KiB, 64 connections",
    pair("http2"),
    { ...GRPC, ...MANY, requestBytes: 100, responseBytes: KIB },
  ),
  cost(
    "pair-grpc-stream",
    "pair over mutual TLS, gRPC messages of 100 bytes each way on 64 open streams of 8 connections",
    pair("http2"),
    { protocol: "grpc-stream", connections: 8, streams: 8, requestBytes: 100, responseBytes: 100 },
  ),
  cost("pair-tcp", "pair over mutual TLS, TCP, exchanges of 1 KiB on 64 connections", pair("tcp"), {
    ...{ ...TCP, ...MANY, requestBytes: KIB, responseBytes: KIB },
  }),
  cost(
    "pair-churn",
    "pair over mutual TLS, TCP, a new connection and a full handshake for each exchange, 16 at once",
    pair("tcp"),
    { ...TCP, connections: 16, streams: 1, requestBytes: 100, responseBytes: 100, freshConnections: true },
  ),
  cost("pair-64k", "pair over mutual TLS, HTTP/2, responses of 64 KiB, 16 connections", pair("http2"), {
    ...{ ...HTTP2, connections: 16, streams: 1, requestBytes: 0, responseBytes: 64 * KIB },
  }),
  bulk("pair-download", "pair over mutual TLS, HTTP/2, one response of 10 MiB after the other", 0, 10 * MIB),
  bulk("pair-upload", "pair over mutual TLS, HTTP/2, one request of 10 MiB after the other", 10 * MIB, 16),
  tail(
    "pair-http1-steady",
    "pair over mutual TLS, HTTP/1, 2,000 requests a second over 16 connections",
    pair("http1"),
    { ...HTTP1, ...STEADY, ...SMALL },
  ),
  tail(
    "pair-http2-steady",
    "pair over mutual TLS, HTTP/2, 2,000 requests a second over 16 connections",
    pair("http2"),
    { ...HTTP2, ...STEADY, ...SMALL },
  ),
  tail(
    "pair-idle",
    "pair over mutual TLS, HTTP/2, 2,000 requests a second beside 1,000 idle connections",
    pair("http2"),
    { ...HTTP2, ...STEADY, ...SMALL, idleConnections: 1_000 },
  ),
  tail(
    "pair-fair",
    "pair over mutual TLS, HTTP/2, 200 small requests a second beside endless downloads on the same 4 connections",
    pair("http2"),
    { ...HTTP2, ...SMALL, connections: 4, streams: 1, ratePerSecond: 200, backgroundBytes: 10 * MIB },
  ),
  mesh(20, 15),
  mesh(200, 5),
  mesh(2_000, TAIL_SECONDS),
  cost(
    "policy",
    "pair over mutual TLS, HTTP/2, each request authorized by identity, beside the default policy",
    pair("http2"),
    { ...HTTP2, ...MANY, ...SMALL },
    { variants: [COST_OF_POLICY] },
  ),
  cost(
    "routes-1000",
    "pair over mutual TLS, HTTP/2, the last of 1,000 routes, beside one",
    pair("http2"),
    { ...HTTP2, ...MANY, ...SMALL },
    { variants: [COST_OF_ROUTES] },
  ),
  cost(
    "routes-20-policy",
    "pair over mutual TLS, HTTP/2, the last of 20 routes with retries, timeouts and a circuit breaker, beside no routes",
    pair("http2"),
    { ...HTTP2, ...MANY, ...SMALL },
    { variants: [COST_OF_ROUTE_POLICY] },
  ),
  cost(
    "endpoints-1000",
    "one proxy in clear text, HTTP/2, 1,000 endpoints, beside one",
    hop("http2"),
    { ...HTTP2, ...MANY, ...SMALL },
    { variants: [COST_OF_ENDPOINTS], addresses: 1_000 },
  ),
  idle(1_000),
  idle(10_000),
  {
    kind: "start",
    name: "start",
    title: "one proxy from its start until it is ready; ours with its identity issued",
    subject: "readyMs",
    job: hop("http2"),
  },
  {
    kind: "soak",
    name: "soak",
    title: "pair over mutual TLS, HTTP/2, 2,000 requests a second for minutes (--minutes)",
    subject: "driftMiBPerHour",
    job: pair("http2"),
    load: { ...HTTP2, ...STEADY, ...SMALL },
  },
];

/** Measured when nothing is asked for: what the proxies cost, and what they add. */
export const DEFAULT_SCENARIOS: readonly string[] = [
  "hop-http2",
  "pair-http1",
  "pair-http2",
  "pair-grpc",
  "pair-http1-steady",
  "pair-http2-steady",
  "start",
  "idle-10000",
];

/** What "all" means: the soak takes as long as it is told and is asked for by name. */
export const ALL_SCENARIOS: readonly string[] = SCENARIOS.filter(({ kind }) => kind !== "soak").map(
  ({ name }) => name,
);
