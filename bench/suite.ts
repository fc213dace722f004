/** What `npm run bench` can measure. */
import type { LoadSpec } from "./load/load-spec.ts";
import type { Job } from "./peers/peer.ts";

/** Where and for how long is the runner's business. */
export type Load = Omit<LoadSpec, "port" | "authority" | "warmUpSeconds" | "seconds" | "processes">;

/** What a scenario is about: it comes first in the tables, and ratios are of it. */
export type Subject =
  /** Processor time of the proxies per request. */
  | "cpu"
  /** Latency at a given rate. */
  | "latency"
  /** Body bytes per second. */
  | "throughput";

export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly subject: Subject;
  readonly job: Job;
  readonly load: Load;
}

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

function hop(protocol: Job["protocol"]): Job {
  return { topology: "hop", protocol };
}

function pair(protocol: Job["protocol"]): Job {
  return { topology: "pair", protocol };
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: "hop-http1",
    title: "one proxy in clear text, HTTP/1, 64 connections",
    subject: "cpu",
    job: hop("http1"),
    load: { ...HTTP1, ...MANY, ...SMALL },
  },
  {
    name: "hop-http2",
    title: "one proxy in clear text, HTTP/2, 64 connections",
    subject: "cpu",
    job: hop("http2"),
    load: { ...HTTP2, ...MANY, ...SMALL },
  },
  {
    name: "hop-http2-streams",
    title: "one proxy in clear text, HTTP/2, 8 connections with 100 requests at once on each",
    subject: "cpu",
    job: hop("http2"),
    load: { ...HTTP2, ...SMALL, connections: 8, streams: 100 },
  },
  {
    name: "pair-http1",
    title: "pair over mutual TLS, HTTP/1, 64 connections",
    subject: "cpu",
    job: pair("http1"),
    load: { ...HTTP1, ...MANY, ...SMALL },
  },
  {
    name: "pair-http2",
    title: "pair over mutual TLS, HTTP/2, 64 connections",
    subject: "cpu",
    job: pair("http2"),
    load: { ...HTTP2, ...MANY, ...SMALL },
  },
  {
    name: "pair-http2-streams",
    title: "pair over mutual TLS, HTTP/2, 8 connections with 100 requests at once on each",
    subject: "cpu",
    job: pair("http2"),
    load: { ...HTTP2, ...SMALL, connections: 8, streams: 100 },
  },
  {
    name: "pair-grpc",
    title: "pair over mutual TLS, unary gRPC calls of 100 bytes answered by 1 KiB, 64 connections",
    subject: "cpu",
    job: pair("http2"),
    load: { ...GRPC, ...MANY, requestBytes: 100, responseBytes: KIB },
  },
  {
    name: "pair-64k",
    title: "pair over mutual TLS, HTTP/2, responses of 64 KiB, 16 connections",
    subject: "cpu",
    job: pair("http2"),
    load: { ...HTTP2, connections: 16, streams: 1, requestBytes: 0, responseBytes: 64 * KIB },
  },
  {
    name: "pair-download",
    title: "pair over mutual TLS, HTTP/2, one response of 10 MiB after the other",
    subject: "throughput",
    job: pair("http2"),
    load: { ...HTTP2, ...ONE, requestBytes: 0, responseBytes: 10 * MIB },
  },
  {
    name: "pair-upload",
    title: "pair over mutual TLS, HTTP/2, one request of 10 MiB after the other",
    subject: "throughput",
    job: pair("http2"),
    load: { ...HTTP2, ...ONE, requestBytes: 10 * MIB, responseBytes: 16 },
  },
  {
    name: "pair-http1-steady",
    title: "pair over mutual TLS, HTTP/1, 2,000 requests a second over 16 connections",
    subject: "latency",
    job: pair("http1"),
    load: { ...HTTP1, ...STEADY, ...SMALL },
  },
  {
    name: "pair-http2-steady",
    title: "pair over mutual TLS, HTTP/2, 2,000 requests a second over 16 connections",
    subject: "latency",
    job: pair("http2"),
    load: { ...HTTP2, ...STEADY, ...SMALL },
  },
  {
    name: "pair-idle",
    title: "pair over mutual TLS, HTTP/2, 2,000 requests a second beside 1,000 idle connections",
    subject: "latency",
    job: pair("http2"),
    load: { ...HTTP2, ...STEADY, ...SMALL, idleConnections: 1_000 },
  },
  {
    name: "pair-fair",
    title:
      "pair over mutual TLS, HTTP/2, 200 small requests a second beside endless downloads on the same 4 connections",
    subject: "latency",
    job: pair("http2"),
    load: { ...HTTP2, ...SMALL, connections: 4, streams: 1, ratePerSecond: 200, backgroundBytes: 10 * MIB },
  },
];

/** Measured when nothing is asked for: what the proxies cost, and what they add. */
export const DEFAULT_SCENARIOS: readonly string[] = [
  "hop-http2",
  "pair-http1",
  "pair-http2",
  "pair-grpc",
  "pair-http2-steady",
];
