import type { Outcome } from "../classify/http.ts";
import type { ProxyError } from "../errors/proxy-error.ts";
import { latencyLabels, responseLabels } from "../metrics/labels.ts";
import type { Counter, Family, Histogram, Labels } from "../metrics/registry.ts";
import type { HeaderField } from "../wire/header-field.ts";
import { h2CodeName } from "../wire/http2/error-code.ts";
import type { RequestHead, ResponseHead, ResponseSink } from "./message.ts";
import { ObservedExchange } from "./observed-exchange.ts";

/** How the responses of a profile's route are judged: `ProfileClassifier` of src/policy. */
export interface ResponseJudge {
  isGrpcOnly(fields: readonly HeaderField[]): boolean;
  atHead(grpcOnly: boolean, status: number, fields: readonly HeaderField[]): Outcome | undefined;
  atEnd(grpcOnly: boolean, status: number, trailers: readonly HeaderField[] | undefined): Outcome;
}

export interface ProfileFamilies {
  readonly requests: Family<Counter>;
  readonly responses: Family<Counter>;
  readonly latencyMs: Family<Histogram> | undefined;
}

/**
 * Counters of one label set. Cells are asked for once per outcome and kept, so that a request costs additions.
 *
 * Source: linkerd2-proxy, linkerd/http/metrics/src/requests/service.rs.
 */
export class ProfileCounters {
  readonly nowMs: () => number;
  readonly #families: ProfileFamilies;
  readonly #labels: Labels;
  readonly #requests: Counter;
  readonly #latency: (Histogram | undefined)[] = [];
  /** By status, where HTTP alone decided: almost all responses. */
  readonly #successes: (Counter | undefined)[] = [];
  readonly #failures: (Counter | undefined)[] = [];
  readonly #others = new Map<string, Counter>();
  /** What to let go of on close. */
  readonly #held: { readonly family: Family<unknown>; readonly labels: Labels }[] = [];
  #closed = false;

  constructor(families: ProfileFamilies, labels: Labels, nowMs: () => number) {
    this.#families = families;
    this.#labels = labels;
    this.nowMs = nowMs;
    this.#requests = this.#hold(families.requests, labels);
  }

  countRequest(): void {
    this.#requests.value++;
  }

  /** Milliseconds to the first byte of a response body, or to the end of a response without one. */
  observeLatency(status: number, startedAtMs: number): void {
    const { latencyMs } = this.#families;
    if (latencyMs === undefined) return;
    let cell = this.#latency[status];
    if (cell === undefined) {
      cell = this.#hold(latencyMs, latencyLabels(this.#labels, status));
      this.#latency[status] = cell;
    }
    cell.observe(this.nowMs() - startedAtMs);
  }

  countResponse(status: number, outcome: Outcome): void {
    const { classification, grpcStatus } = outcome;
    if (grpcStatus !== "") {
      this.#other(`${status} ${classification} ${grpcStatus}`, status, outcome, "").value++;
      return;
    }
    const cells = classification === "success" ? this.#successes : this.#failures;
    const cell = (cells[status] ??= this.#response(status, outcome, ""));
    cell.value++;
  }

  /** @param status 0 if there was no response head. */
  countError(status: number, error: ProxyError): void {
    const text = errorLabel(error);
    this.#other(`${status} ${text}`, status, FAILED, text).value++;
  }

  /** Exchanges that are still under way go on being counted. */
  close(): void {
    this.#closed = true;
    for (const { family, labels } of this.#held) family.release(labels);
    this.#held.length = 0;
  }

  #other(key: string, status: number, outcome: Outcome, error: string): Counter {
    let cell = this.#others.get(key);
    if (cell === undefined) {
      cell = this.#response(status, outcome, error);
      this.#others.set(key, cell);
    }
    return cell;
  }

  #response(status: number, outcome: Outcome, error: string): Counter {
    const labels = responseLabels(this.#labels, {
      ...outcome,
      status: status === 0 ? undefined : status,
      error,
    });
    return this.#hold(this.#families.responses, labels);
  }

  #hold<Cell>(family: Family<Cell>, labels: Labels): Cell {
    const cell = family.cell(labels);
    // Nobody will close it again: the series lives on for its retention only.
    if (this.#closed) family.release(labels);
    else this.#held.push({ family, labels });
    return cell;
  }
}

const FAILED: Outcome = { classification: "failure", grpcStatus: "" };

function errorLabel({ code, detail }: ProxyError): string {
  if (code === "profile_timeout") return "timeout";
  if (code === "h2_reset" && detail.h2Code !== undefined) return `h2(${h2CodeName(detail.h2Code)})`;
  return "unclassified";
}

/** An exchange that is counted: one request of the application, or one attempt at it. */
export class ProfileExchange extends ObservedExchange {
  readonly #counters: ProfileCounters;
  /** Counters of the only attempt there will be, so that it needs no exchange of its own. */
  readonly #attempt: ProfileCounters | undefined;
  readonly #classifier: ResponseJudge;
  readonly #grpcOnly: boolean;
  readonly #startedAtMs: number;
  #status = 0;
  #outcome: Outcome | undefined = undefined;

  constructor(
    classifier: ResponseJudge,
    counters: ProfileCounters,
    attempt: ProfileCounters | undefined,
    head: RequestHead,
    response: ResponseSink,
  ) {
    super(response);
    this.#counters = counters;
    this.#attempt = attempt;
    this.#classifier = classifier;
    this.#grpcOnly = classifier.isGrpcOnly(head.fields);
    this.#startedAtMs = counters.nowMs();
    counters.countRequest();
    attempt?.countRequest();
  }

  protected override onHead(head: ResponseHead): void {
    this.#status = head.status;
    this.#outcome = this.#classifier.atHead(this.#grpcOnly, head.status, head.fields);
  }
  protected override onFirstByte(): void {
    if (this.#status !== 0) this.#counters.observeLatency(this.#status, this.#startedAtMs);
  }
  protected override onTrailers(fields: readonly HeaderField[]): void {
    this.#outcome ??= this.#classifier.atEnd(this.#grpcOnly, this.#status, fields);
  }
  protected override onEnd(error: ProxyError | undefined, canceled: boolean): void {
    if (error !== undefined && !canceled) {
      this.#counters.countError(this.#status, error);
      this.#attempt?.countError(this.#status, error);
      return;
    }
    // There is no response to count if the client left before any came; later it counts as far as it came.
    if (this.#status === 0) return;
    const outcome = this.#outcome ?? this.#classifier.atEnd(this.#grpcOnly, this.#status, undefined);
    this.#counters.countResponse(this.#status, outcome);
    this.#attempt?.countResponse(this.#status, outcome);
  }
}
