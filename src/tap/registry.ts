import type { RequestHead } from "../http/message.ts";
import type { Counter } from "../metrics/registry.ts";
import { endOfPath } from "../policy/request-view.ts";
import { findField, headerName, type HeaderField } from "../wire/header-field.ts";
import type { TappedRequest, TapStep } from "./event.ts";
import { tapMatches, type TapSubject } from "./match.ts";
import type { TapPoint } from "./point.ts";
import { Tap, type TapRequest, type TapStream } from "./tap.ts";

/** Taps under way at once, in the whole process: each costs every request a look. */
export const TAPS_MAX = 64;

export interface TapRegistryOptions {
  readonly nowMs: () => number;
  /** Counts events that slow observers lost. */
  readonly lost: Counter;
}

/** The taps under way. */
export class TapRegistry {
  /** Whether anybody observes: the one question that requests are asked while nobody does. */
  active = false;
  readonly nowMs: () => number;
  readonly #lost: Counter;
  /** Those that take requests. Replaced, never changed: an observer may leave while they are gone through. */
  #taking: readonly Tap[] = [];
  /** Those whose observers are there, also for the end of the requests that were taken. */
  readonly #running = new Set<Tap>();
  #next = 0;

  constructor({ nowMs, lost }: TapRegistryOptions) {
    this.nowMs = nowMs;
    this.#lost = lost;
  }

  /** Taps whose observers have not left. */
  get running(): number {
    return this.#running.size;
  }

  /**
   * Begins to observe.
   *
   * @param onChange see `TapOptions`.
   * @returns undefined if there are too many taps already.
   */
  observe(request: TapRequest, onChange: () => void): Tap | undefined {
    if (this.#running.size >= TAPS_MAX) return undefined;
    const tap = new Tap({
      id: this.#next,
      request,
      onChange,
      onLost: () => this.#lost.value++,
    });
    // Numbers travel as 32 bits; only taps under way must differ.
    this.#next = (this.#next + 1) >>> 0;
    this.#running.add(tap);
    this.#take([...this.#taking, tap]);
    return tap;
  }

  /** The observer has left, or was told everything. */
  end(tap: Tap): void {
    tap.cancel();
    this.#running.delete(tap);
    this.#take(this.#taking.filter((other) => other !== tap));
  }

  /** Offers a request to all taps; undefined if none takes it, which is so for most. */
  begin(point: TapPoint, head: RequestHead): readonly TapStream[] | undefined {
    const subject = subjectOf(point, head);
    let streams: TapStream[] | undefined;
    let request: TappedRequest | undefined;
    for (const tap of this.#taking) {
      if (!tap.wantsMore || !tapMatches(tap.match, subject)) continue;
      request ??= tappedRequest(point, subject);
      const stream = tap.begin(request, requestInit(subject, tap.headers ? headersOf(head) : undefined));
      if (stream !== undefined) (streams ??= []).push(stream);
      if (!tap.wantsMore) this.#take(this.#taking.filter((other) => other !== tap));
    }
    return streams;
  }

  #take(taps: readonly Tap[]): void {
    this.#taking = taps;
    this.active = taps.length > 0;
  }
}

function subjectOf(point: TapPoint, head: RequestHead): TapSubject {
  const target = head.path?.value ?? "";
  return {
    source: head.client,
    destination: point.destination,
    destinationLabels: point.destinationLabels,
    routeLabels: head.routeLabels,
    method: head.method.value,
    scheme: head.scheme?.value,
    authority: point.authority ?? head.authority?.value ?? findField(head.fields, HOST)?.value,
    path: target.slice(0, endOfPath(target)),
  };
}

function tappedRequest(point: TapPoint, { source, routeLabels }: TapSubject): TappedRequest {
  const { direction, sourceLabels, destination, destinationLabels, destinationTls } = point;
  return {
    direction,
    source,
    sourceLabels,
    destination,
    destinationLabels: [...destinationLabels, ...destinationTls],
    routeLabels,
  };
}

function requestInit(
  { method, scheme, authority = "", path }: TapSubject,
  headers: readonly HeaderField[] | undefined,
): TapStep {
  return { kind: "request_init", method, scheme, authority, path, headers };
}

/** A copy: layers below change the fields in place. */
function headersOf(head: RequestHead): readonly HeaderField[] {
  if (head.version !== 20) return head.fields.slice();
  const pseudo = [head.method, head.scheme, head.authority, head.path];
  return [...pseudo.filter((field) => field !== undefined), ...head.fields];
}

const HOST = headerName("host");
