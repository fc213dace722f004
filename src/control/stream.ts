/** How a call ended: gRPC code and message. A stream that the server ends in good order has code OK. */
export interface CallStatus {
  readonly code: number;
  readonly message: string;
}

/** The gRPC codes that decide anything here. Source: grpc, doc/statuscodes.md. */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
} as const;

/** What a stream tells: any number of messages, then exactly one end. Nothing after `cancel`. */
export interface StreamEvents<T> {
  message(value: T): void;
  end(status: CallStatus): void;
}

/**
 * Opens one stream. Events may come before the function returns; failures to open are ends.
 *
 * `cancel` may be called at any time, more than once, and silences the events.
 */
export type OpenStream<T> = (events: StreamEvents<T>) => { cancel(): void };

/** Whether a status is the final word, so that asking again would be pointless. */
export type IsFatal = (code: number) => boolean;

/**
 * Get, GetProfile and WatchPort: the request itself is at fault.
 *
 * Source: linkerd2-proxy, linkerd/app/src/dst.rs, linkerd/app/inbound/src/policy/api.rs.
 */
export const isInvalidRequest: IsFatal = (code) =>
  code === Code.INVALID_ARGUMENT || code === Code.FAILED_PRECONDITION;

/**
 * GetProfile: whether the control plane has looked and found nothing, be it a Service (UNKNOWN) or one of its instances.
 *
 * Source: linkerd2, controller/api/destination/server.go.
 */
export function isUnknownTarget(code: number): boolean {
  return code === Code.UNKNOWN || code === Code.NOT_FOUND;
}

/**
 * Outbound Watch: also "there is no such target" and "I do not know outbound policies", for which the proxy has an
 * answer of its own.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/policy/api.rs.
 */
export const isNoOutboundPolicy: IsFatal = (code) =>
  isInvalidRequest(code) || code === Code.NOT_FOUND || code === Code.UNIMPLEMENTED;
