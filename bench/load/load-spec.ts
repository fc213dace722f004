/** What the load process is asked, and what it answers. */

export type LoadProtocol = "http1" | "http2" | "grpc" | "grpc-stream" | "tcp";

export interface LoadSpec {
  readonly protocol: LoadProtocol;
  /** On 127.0.0.1, in clear text. */
  readonly port: number;
  readonly authority: string;
  readonly connections: number;
  /**
   * Requests at once on each connection in a closed loop; HTTP/1 and TCP know one. In `grpc-stream`, how many streams each
   * connection holds open: a request is then one message on one of them, and its answer another.
   */
  readonly streams: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Open loop: requests arrive at random at this rate, whatever becomes of those before. Undefined: a closed loop. */
  readonly ratePerSecond?: number | undefined;
  /** In `grpc-stream`: a stream ends after so many messages, and another takes its place. Undefined: with its connection. */
  readonly messagesPerStream?: number;
  /** A new connection for each request, which the client then closes; `connections` of them are under way at once. */
  readonly freshConnections?: boolean;
  /** The applications listen on so many addresses, as `LoadProcess.listenOnAddresses` says. */
  readonly addresses?: number;
  /** Connections that say nothing, beside. */
  readonly idleConnections?: number;
  /** Beside the requests, each connection of `http2` or `grpc` downloads bodies of so many bytes without end. */
  readonly backgroundBytes?: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** Adds to what was measured on this port before: the result is of all turns since the last run that did not continue. */
  readonly continues?: boolean;
  /** Whose processor time is counted, by name. */
  readonly processes: Readonly<Record<string, readonly number[]>>;
}

/**
 * Microseconds. In an open loop they count from when a request was meant to be sent, with fresh connections from before
 * connecting.
 */
export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface LoadResult {
  readonly requests: number;
  /** Requests that failed or were answered wrongly, and connections that broke. */
  readonly errors: number;
  readonly seconds: number;
  readonly latency: Latency;
  /** Latency by percentile, rising: `[percentile, microseconds]`. Empty if nothing was answered. */
  readonly curve: readonly (readonly [number, number])[];
  /** In an open loop, the p99 of one short stretch after the other, in microseconds. Empty in a closed one. */
  readonly windowP99Micros: readonly number[];
  /** Of response bodies. */
  readonly bodyBytes: number;
  /** Of the downloads beside; part of `bodyBytes`. */
  readonly backgroundBytes: number;
  /** Processor time in microseconds, by name. */
  readonly cpuMicros: Readonly<Record<string, number>>;
  /** Share of its time in which the load process had something to do. Near 1 it is the bottleneck, and the figures are its own. */
  readonly loadBusy: number;
}

/** First message of the load process: where its applications listen. */
export interface ApplicationPorts {
  readonly http1: number;
  /** And gRPC. */
  readonly http2: number;
  readonly tcp: number;
}
