/** The time limits of one attempt at a request, in milliseconds. Immutable: attempts share it. */
export interface StreamTimeouts {
  /** From the end of the request to the response head: the per-try timeout of retries. */
  readonly headersMs: number | undefined;
  /** From the end of the request, or the response head if that comes first, to the end of the response. */
  readonly responseMs: number | undefined;
  /** Between two signs of life of a body that is being waited for. */
  readonly idleMs: number | undefined;
  /** For the whole request, all attempts together. */
  readonly requestMs: number | undefined;
  /** The instant at which `requestMs` is over; infinite without it. */
  readonly deadlineMs: number;
}
