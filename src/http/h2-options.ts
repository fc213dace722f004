import type { UnprocessedCall } from "./client/unprocessed-calls.ts";
import type { Sink } from "./message.ts";
import type { ProxyError } from "../errors/proxy-error.ts";
import { systemClock, type Clock } from "../time/clock.ts";
import { WINDOW_DEFAULT, WINDOW_MAX } from "../wire/http2/flow-window.ts";
import {
  H2_CONCURRENT_STREAMS,
  H2_CONNECTION_WINDOW_BYTES,
  H2_FIELDS_PER_BLOCK,
  H2_FRAME_BYTES,
  H2_HEADER_LIST_BYTES,
  H2_RESET_STREAMS_REMEMBERED,
  H2_STREAM_SEND_BUFFER_BYTES,
  H2_STREAM_WINDOW_BYTES,
} from "../wire/limits.ts";

/** Asks a silent peer whether it lives. Equivalent: `KEEP_ALIVE_INTERVAL` and `KEEP_ALIVE_TIMEOUT` of the HTTP/2 variables. */
export interface H2KeepAlive {
  /** A PING leaves when nothing came for this long. */
  readonly intervalMs: number;
  /** Without any byte for this long after the PING, the connection is closed with `io`. */
  readonly timeoutMs: number;
  /** Whether to ask also while no stream is open. */
  readonly whileIdle: boolean;
}

/**
 * Why a message was not passed on: it broke the rules of HTTP, its header list was over LIM-9 or LIM-10, or it came
 * above the number of streams or after the last GOAWAY.
 */
export type H2Rejection = "malformed" | "too_large" | "refused";

/** What both roles can be told. */
export interface H2Options {
  /** Bytes a peer may send on one stream before credit. Default LIM-12, 65,535. */
  readonly streamWindowBytes?: number;
  /** Bytes a peer may send on all streams before credit; at least 65,535. Default LIM-12, 1 MiB. */
  readonly connectionWindowBytes?: number;
  /**
   * Makes receive windows larger as the delay of the connection asks for, up to 16 MiB (LIM-12). They begin with the
   * defaults of the two above, whose values do not count. Default: no. Equivalent: `ADAPTIVE_FLOW_CONTROL`.
   */
  readonly adaptiveWindows?: boolean;
  /**
   * Bytes of one stream for which credit is given before they left, at most LIM-13, and 1 MiB for all streams of the
   * connection. Default 0: a stream holds what the opposite side's window lets through. Equivalent: `MAX_SEND_BUF_SIZE`.
   */
  readonly sendBufferBytes?: number;
  /** Streams that we reset and remember, at most 1,024, the default. Equivalent: `max_concurrent_reset_streams` of discovery. */
  readonly resetStreams?: number;
  /** Largest frame payload that we take, 16,384 to 16,777,215. Default 16,384. */
  readonly frameBytes?: number;
  /** Largest header list that we take, RFC 9113 section 6.5.2 bytes. Default LIM-9, 65,536. */
  readonly headerListBytes?: number;
  /** Default: none. */
  readonly keepAlive?: H2KeepAlive | undefined;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Called for each message that was refused, with the rule that it broke: for a counter and a rate-limited log line. */
  readonly onRejected?: (rejection: H2Rejection, problem: string) => void;
  /** Called once, when the transport is gone, with the reason if the close was not orderly. Every exchange has ended before. */
  readonly onClose?: (error: ProxyError | undefined) => void;
}

export interface H2ServerOptions extends H2Options {
  /** Streams a client may have open. Default LIM-11, 4,096. */
  readonly maxConcurrentStreams?: number;
  /**
   * Streams of one read that a client may open and reset, at most 250. Default: no bound but LIM-15. Equivalent:
   * `MAX_PENDING_ACCEPT_RESET_STREAMS`.
   */
  readonly pendingResetStreams?: number;
  /** Whether responses without a `date` get one, as HTTP/1 ones do (RFC 9110 section 6.6.1). Default: no. */
  readonly addsDate?: boolean;
  /**
   * Whether a request names one host only: a `host` that differs from `:authority` is replaced by it, and stands in for it where
   * there is none. Policy and application then see the same. Default: no.
   */
  readonly oneHost?: boolean;
}

/**
 * How long a server may take from the connection to its SETTINGS (HC-06). Without them it may be anything that accepts
 * connections; requests sent to it would hang.
 */
export const H2_SERVER_SETTINGS_MS = 10_000;

export interface H2ClientOptions extends H2Options {
  /** Called once, when the server's first SETTINGS arrived: the connection is known to speak HTTP/2. */
  readonly onReady?: () => void;
  /** Called once, when no further call will be taken: GOAWAY, stream ids used up, `close`, or the connection is gone. */
  readonly onRetire?: () => void;
  /**
   * Given calls that the server says it has not looked at, to be made again elsewhere.
   *
   * @returns where the rest of such a request goes; undefined if it is not made again, and so fails.
   */
  readonly onUnprocessed?: (call: UnprocessedCall) => Sink | undefined;
  /** Id of the first stream, odd. Default 1; tests start near the end. */
  readonly firstStreamId?: number;
}

/** Options with their defaults filled in and put within the bounds of the protocol. */
export interface H2Settings {
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  readonly adaptiveWindows: boolean;
  readonly sendBufferBytes: number;
  readonly resetStreams: number;
  readonly frameBytes: number;
  readonly headerListBytes: number;
  readonly fieldsPerBlock: number;
  readonly maxConcurrentStreams: number;
  readonly keepAlive: H2KeepAlive | undefined;
  readonly clock: Clock;
}

export function h2Settings(options: H2ServerOptions): H2Settings {
  const adaptiveWindows = options.adaptiveWindows === true;
  const windows = adaptiveWindows ? {} : options;
  return {
    streamWindowBytes: between(1, windows.streamWindowBytes ?? H2_STREAM_WINDOW_BYTES, WINDOW_MAX),
    connectionWindowBytes: between(
      WINDOW_DEFAULT,
      windows.connectionWindowBytes ?? H2_CONNECTION_WINDOW_BYTES,
      WINDOW_MAX,
    ),
    adaptiveWindows,
    sendBufferBytes: between(0, options.sendBufferBytes ?? 0, H2_STREAM_SEND_BUFFER_BYTES),
    resetStreams: between(
      1,
      options.resetStreams ?? H2_RESET_STREAMS_REMEMBERED,
      H2_RESET_STREAMS_REMEMBERED,
    ),
    frameBytes: between(H2_FRAME_BYTES, options.frameBytes ?? H2_FRAME_BYTES, 0xff_ffff),
    headerListBytes: options.headerListBytes ?? H2_HEADER_LIST_BYTES,
    fieldsPerBlock: H2_FIELDS_PER_BLOCK,
    maxConcurrentStreams: options.maxConcurrentStreams ?? H2_CONCURRENT_STREAMS,
    keepAlive: options.keepAlive,
    clock: options.clock ?? systemClock,
  };
}

function between(low: number, value: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
