import type { Families, InboundRequestFamilies } from "../metrics/families.ts";
import { inboundRequestLabels, withLast, type ServerRef } from "../metrics/labels.ts";
import type { Counter, Histogram, Labels } from "../metrics/registry.ts";
import type { Meta } from "../policy/meta.ts";

const MS_PER_SECOND = 1000;

/**
 * Counts the permitted requests of one route of one server: `inbound_http_*`, or `inbound_grpc_*` where the policy's route
 * is one of gRPC, whatever the requests look like. Cells are asked for once and kept.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/http/router/metrics.rs.
 */
export class InboundRequestMetrics {
  readonly isGrpc: boolean;
  readonly requests: Counter;
  readonly #families: InboundRequestFamilies;
  readonly #labels: Labels;
  readonly #requestDuration: Histogram;
  readonly #responseDuration: Histogram;
  readonly #requestFrames: Histogram;
  readonly #responseFrames: Histogram;
  /** By HTTP status or gRPC code; the last for exchanges that ended without one. */
  readonly #statuses: (Counter | undefined)[] = [];
  #none: Counter | undefined = undefined;

  constructor(families: Families, server: ServerRef, route: Meta, isGrpc: boolean) {
    this.isGrpc = isGrpc;
    this.#families = isGrpc ? families.inboundGrpc : families.inboundHttp;
    this.#labels = inboundRequestLabels(server, route);
    this.requests = this.#families.requestsTotal.cell(this.#labels);
    this.#requestDuration = this.#families.requestDurationSeconds.cell(this.#labels);
    this.#responseDuration = this.#families.responseDurationSeconds.cell(this.#labels);
    this.#requestFrames = this.#families.requestFrameSizeBytes.cell(this.#labels);
    this.#responseFrames = this.#families.responseFrameSizeBytes.cell(this.#labels);
  }

  observeRequestFrame(bytes: number): void {
    if (bytes > 0) this.#requestFrames.observe(bytes);
  }
  observeResponseFrame(bytes: number): void {
    if (bytes > 0) this.#responseFrames.observe(bytes);
  }

  /**
   * An exchange is over.
   *
   * @param code HTTP status or gRPC code; undefined if there was none.
   * @param requestMs from the start of the request, @param responseMs from its end, 0 if it had none.
   */
  countEnd(code: number | undefined, requestMs: number, responseMs: number): void {
    this.#requestDuration.observe(requestMs / MS_PER_SECOND);
    this.#responseDuration.observe(responseMs / MS_PER_SECOND);
    const cell =
      code === undefined
        ? (this.#none ??= this.#status(""))
        : (this.#statuses[code] ??= this.#status(String(code)));
    cell.value++;
  }

  #status(text: string): Counter {
    return this.#families.statusesTotal.cell(withLast(this.#labels, "status", text));
  }
}
