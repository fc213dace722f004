import type { FailureHint, Load } from "../../balance/load.ts";
import { CountedExchange, type EndpointMetrics } from "../../http/endpoint-metrics.ts";
import type { RequestHead, ResponseSink } from "../../http/message.ts";
import type { Clock } from "../../time/clock.ts";

/** Counts an exchange and measures the load it puts on its endpoint. */
export class BalancedExchange extends CountedExchange {
  readonly #load: Load;
  readonly #clock: Clock;
  readonly #sentAtMs: number;

  constructor(metrics: EndpointMetrics, load: Load, clock: Clock, head: RequestHead, response: ResponseSink) {
    super(metrics, head, response);
    this.#load = load;
    this.#clock = clock;
    this.#sentAtMs = clock.nowMs();
    load.begin();
  }

  /** The first byte of the response ends the measurement: what streams on for hours says nothing about latency. */
  protected override onFirstByte(): void {
    super.onFirstByte();
    this.endLoad(undefined);
  }

  protected endLoad(hint: FailureHint | undefined): void {
    this.#load.end(this.#sentAtMs, this.#clock.nowMs(), hint);
  }
}
