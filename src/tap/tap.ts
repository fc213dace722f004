import { eventBytes, type TapEvent, type TappedRequest, type TapStep, type TapStreamId } from "./event.ts";
import type { TapMatch } from "./match.ts";

/** What an observer asks for. */
export interface TapRequest {
  /** Requests to be reported, above 0. */
  readonly limit: number;
  readonly match: TapMatch;
  /** Whether to report headers and trailers. */
  readonly headers: boolean;
}

/** LIM-27: events that may wait for an observer. Source: linkerd2-proxy, linkerd/proxy/tap/src/lib.rs. */
export const WAITING_EVENTS_MAX = 400;
/** The same in bytes of their headers, which are the clients' choice. */
export const WAITING_BYTES_MAX = 1024 * 1024;

export interface TapOptions {
  /** Its number within the process. */
  readonly id: number;
  readonly request: TapRequest;
  /** There is an event to be taken, or the tap is over. May be called while an event is offered. */
  readonly onChange: () => void;
  /** An event was lost because the observer is slow. */
  readonly onLost: () => void;
}

/**
 * One observation under way: it takes up to so many requests, and what happens to them waits here for the observer.
 *
 * An observer that is slow loses events, and requests of which it would not even see the beginning count against the
 * limit all the same: nothing that an observer does delays traffic or lets memory grow.
 *
 * Source: linkerd2-proxy, linkerd/proxy/tap/src/grpc/server.rs.
 */
export class Tap {
  readonly match: TapMatch;
  readonly headers: boolean;
  readonly #options: TapOptions;
  readonly #waiting: { readonly event: TapEvent; readonly bytes: number }[] = [];
  #waitingBytes = 0;
  #taken = 0;
  /** Requests that were taken and have not ended. */
  #open = 0;
  #canceled = false;

  constructor(options: TapOptions) {
    this.match = options.request.match;
    this.headers = options.request.headers;
    this.#options = options;
  }

  /** Whether it takes more requests. */
  get wantsMore(): boolean {
    return !this.#canceled && this.#taken < this.#options.request.limit;
  }

  /** Whether nothing more will come: the limit is reached, all of its requests have ended, and all events were taken. */
  get over(): boolean {
    return this.#canceled || (!this.wantsMore && this.#open === 0 && this.#waiting.length === 0);
  }

  /** Takes a request; undefined if it is not reported. */
  begin(request: TappedRequest, step: TapStep): TapStream | undefined {
    const id = { tap: this.#options.id, request: this.#taken++ };
    const stream = new TapStream(this, id, request);
    this.#open++;
    if (this.#offer({ id, request, step })) return stream;
    this.#close();
    return undefined;
  }

  /** The next event; undefined while there is none. */
  take(): TapEvent | undefined {
    const next = this.#waiting.shift();
    if (next === undefined) return undefined;
    this.#waitingBytes -= next.bytes;
    return next.event;
  }

  /** The observer has left. */
  cancel(): void {
    this.#canceled = true;
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  /** For `TapStream`. */
  tell(event: TapEvent): void {
    const isEnd = event.step.kind === "response_end";
    if (isEnd) this.#open--;
    const isKept = this.#offer(event);
    // Without its last event nobody would hear that the tap is over.
    if (isEnd && !isKept) this.#changed();
  }

  #close(): void {
    this.#open--;
    this.#changed();
  }

  #offer(event: TapEvent): boolean {
    if (this.#canceled) return false;
    const { step } = event;
    const bytes = eventBytes(step.kind === "response_end" ? step.trailers : step.headers);
    if (this.#waiting.length >= WAITING_EVENTS_MAX || this.#waitingBytes + bytes > WAITING_BYTES_MAX) {
      this.#options.onLost();
      return false;
    }
    this.#waiting.push({ event, bytes });
    this.#waitingBytes += bytes;
    this.#changed();
    return true;
  }

  #changed(): void {
    if (!this.#canceled) this.#options.onChange();
  }
}

/** A request that a tap has taken. It must be told the end, exactly once. */
export class TapStream {
  readonly #tap: Tap;
  readonly #id: TapStreamId;
  readonly #request: TappedRequest;

  constructor(tap: Tap, id: TapStreamId, request: TappedRequest) {
    this.#tap = tap;
    this.#id = id;
    this.#request = request;
  }

  /** Whether its observer wants headers and trailers. */
  get headers(): boolean {
    return this.#tap.headers;
  }

  tell(step: TapStep): void {
    this.#tap.tell({ id: this.#id, request: this.#request, step });
  }
}
