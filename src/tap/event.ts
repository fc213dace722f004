import type { SocketAddr } from "../addr/socket-addr.ts";
import type { Labels } from "../metrics/registry.ts";
import type { HeaderField } from "../wire/header-field.ts";

/** What all events of one tapped request say alike. */
export interface TappedRequest {
  readonly direction: "inbound" | "outbound";
  readonly source: SocketAddr | undefined;
  readonly sourceLabels: Labels;
  readonly destination: SocketAddr;
  readonly destinationLabels: Labels;
  readonly routeLabels: Labels | undefined;
}

/**
 * Which request of which tap an event is about. Requests of one tap count from 0; taps count from 0 within the process.
 */
export interface TapStreamId {
  readonly tap: number;
  readonly request: number;
}

/** One thing that an observer is told. */
export interface TapEvent {
  readonly id: TapStreamId;
  readonly request: TappedRequest;
  readonly step: TapStep;
}

/**
 * The life of a request: one `request_init`, at most one `response_init`, one `response_end`. Header lists are there if
 * the observer asked for them; those of HTTP/2 messages begin with the pseudo-headers. Times are in milliseconds.
 */
export type TapStep =
  | {
      readonly kind: "request_init";
      readonly method: string;
      readonly scheme: string | undefined;
      readonly authority: string;
      /** Without the query. */
      readonly path: string;
      readonly headers: readonly HeaderField[] | undefined;
    }
  | {
      readonly kind: "response_init";
      readonly sinceRequestMs: number;
      readonly status: number;
      readonly headers: readonly HeaderField[] | undefined;
    }
  | {
      readonly kind: "response_end";
      readonly sinceRequestMs: number;
      /** Undefined if no response came. */
      readonly sinceResponseMs: number | undefined;
      /** Of the body, as it left for the client. */
      readonly responseBytes: number;
      readonly end: TapEnd;
      readonly trailers: readonly HeaderField[] | undefined;
    };

/** How a response ended. `plain` is a response without a gRPC status, or a failure without an HTTP/2 code. */
export type TapEnd =
  | { readonly kind: "grpc"; readonly status: number }
  | { readonly kind: "reset"; readonly code: number }
  | { readonly kind: "plain" };

/** What an event with these headers costs while it waits, in bytes, roughly: enough to bound what waits. */
export function eventBytes(headers: readonly HeaderField[] | undefined): number {
  let bytes = EVENT_OVERHEAD_BYTES;
  if (headers !== undefined) for (const { size } of headers) bytes += size;
  return bytes;
}

const EVENT_OVERHEAD_BYTES = 256;
