/** What the load process is asked, and what it answers. */

export type LoadProtocol = "http1" | "http2" | "grpc";

export interface LoadSpec {
  readonly protocol: LoadProtocol;
  /** On 127.0.0.1, in clear text. */
  readonly port: number;
  readonly authority: string;
  readonly connections: number;
  /** Requests at once on each connection in a closed loop; HTTP/1 knows one. */
  readonly streams: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Open loop: requests arrive at random at this rate, whatever becomes of those before. Undefined: a closed loop. */
  readonly ratePerSecond?: number | undefined;
  /** Connections that say nothing, beside. */
  readonly idleConnections?: number;
  /** Beside the requests, each HTTP/2 connection downloads bodies of so many bytes without end. */
  readonly backgroundBytes?: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** Whose processor time is counted, by name. */
  readonly processes: Readonly<Record<string, readonly number[]>>;
}

/** Microseconds. In an open loop they count from when a request was meant to be sent. */
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
  readonly http2: number;
}
