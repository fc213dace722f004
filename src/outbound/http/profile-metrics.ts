import type { NameAddr } from "../../addr/name-addr.ts";
import { ProfileCounters } from "../../http/profile-counters.ts";
import type { Families } from "../../metrics/families.ts";
import { profileRouteLabels, withLast } from "../../metrics/labels.ts";
import type { Counter } from "../../metrics/registry.ts";
import type { ProfileRoute } from "../../policy/client-policy.ts";

/** What is counted for one profile route, all under the same labels. */
export class ProfileRouteMetrics {
  /** `route_*`: once per request of the application. */
  readonly route: ProfileCounters;
  /** `route_actual_*`: once per attempt. */
  readonly actual: ProfileCounters;
  readonly #retryable: Counter;
  readonly #noBudget: Counter;
  readonly #release: () => void;

  constructor(families: Families, profile: NameAddr, route: ProfileRoute, nowMs: () => number) {
    const labels = profileRouteLabels("outbound", profile, route.labels);
    this.route = new ProfileCounters(
      {
        requests: families.routeRequestTotal,
        responses: families.routeResponseTotal,
        latencyMs: families.routeResponseLatencyMs,
      },
      labels,
      nowMs,
    );
    this.actual = new ProfileCounters(
      {
        requests: families.routeActualRequestTotal,
        responses: families.routeActualResponseTotal,
        latencyMs: undefined,
      },
      labels,
      nowMs,
    );
    const { routeRetryableTotal } = families;
    const noBudget = withLast(labels, "skipped", "no_budget");
    this.#retryable = routeRetryableTotal.cell(labels);
    this.#noBudget = routeRetryableTotal.cell(noBudget);
    this.#release = () => {
      routeRetryableTotal.release(labels);
      routeRetryableTotal.release(noBudget);
    };
  }

  /** `route_retryable_total`: a response that is worth a retry, and whether it gets one. */
  countRetryable(hasBudget: boolean): void {
    this.#retryable.value++;
    if (!hasBudget) this.#noBudget.value++;
  }

  close(): void {
    this.route.close();
    this.actual.close();
    this.#release();
  }
}
