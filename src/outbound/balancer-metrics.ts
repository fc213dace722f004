import type { BalancerFamilies, Families } from "../metrics/families.ts";
import { balancerLabels, withFirst } from "../metrics/labels.ts";
import type { Counter, Family, Gauge, Histogram, Labels } from "../metrics/registry.ts";
import type { EndpointUpdate } from "../policy/endpoint.ts";
import type { Meta } from "../policy/meta.ts";
import type { DispatchQueueObserver } from "../stack/dispatch-queue.ts";
import { wallMs } from "../time/clock.ts";

const MS_PER_SECOND = 1000;

/** What balancers are for: gRPC counts as HTTP. */
export type BalancerKind = "http" | "tcp" | "tls";

/** What is read of the endpoints of a balancer when somebody looks at its metrics. */
export interface MeasuredEndpoints {
  readonly size: number;
  readonly readyCount: number;
}

/** What is read of its queue. */
export interface MeasuredQueue {
  /** Waiting now. */
  readonly waiting: number;
  /** Taken so far, whether they had to wait or not. */
  readonly acceptedTotal: number;
  /** Of those the ones that did not wait and of which the observer was not told. */
  readonly passedTotal: number;
}

/**
 * The metrics of all balancers: `outbound_{http,tcp,tls}_balancer_*`.
 *
 * Balancers count nothing for it that they do not know anyhow: what changes with every request is read when a page is made
 * (`refresh`), so that a request that does not wait costs one addition.
 */
export class BalancerMetricsFactory {
  readonly #families: Readonly<Record<BalancerKind, BalancerFamilies>>;
  readonly #live = new Set<BalancerMetrics>();

  constructor(families: Families) {
    this.#families = {
      http: families.outboundHttpBalancer,
      tcp: families.outboundTcpBalancer,
      tls: families.outboundTlsBalancer,
    };
  }

  forBalancer(kind: BalancerKind, parent: Meta, backend: Meta, failfastTimeoutMs: number): BalancerMetrics {
    const labels = balancerLabels(parent, backend);
    const metrics = new BalancerMetrics(this.#families[kind], labels, failfastTimeoutMs, () =>
      this.#live.delete(metrics),
    );
    this.#live.add(metrics);
    return metrics;
  }

  /** Brings all up to date: before a page is made. */
  refresh(): void {
    for (const metrics of this.#live) metrics.refresh();
  }
}

/**
 * The metrics of one balancer. Several share a series if they are for the same backend of the same parent, as those for
 * HTTP/1 and HTTP/2 are: numbers are therefore added to, and only what cannot be added up is set, by whoever changed last.
 *
 * Source: linkerd2-proxy, linkerd/proxy/balance/queue/src/{gate,worker}.rs, linkerd/pool/p2c/src/lib.rs.
 */
export class BalancerMetrics implements DispatchQueueObserver {
  readonly #held: { readonly family: Family<unknown>; readonly labels: Labels }[] = [];
  readonly #onClose: () => void;
  readonly #updates: Readonly<Record<EndpointUpdate["kind"], Counter>>;
  readonly #ready: Share;
  readonly #pending: Share;
  readonly #endpoints: Share;
  readonly #queueLength: Share;
  readonly #requests: Share;
  readonly #latency: Histogram;
  readonly #gateOpen: Counter;
  readonly #gateShut: Counter;
  readonly #gateOpenTime: Gauge;
  readonly #gateShutTime: Gauge;
  #measured: readonly [MeasuredEndpoints, MeasuredQueue] | undefined = undefined;
  /** Requests without a wait that the histogram has. */
  #passed = 0;

  constructor(families: BalancerFamilies, labels: Labels, failfastTimeoutMs: number, onClose: () => void) {
    this.#onClose = onClose;
    const inState = (state: "ready" | "pending"): Share =>
      new Share(this.#hold(families.endpoints, withFirst("endpoint_state", state, labels)));
    this.#ready = inState("ready");
    this.#pending = inState("pending");
    this.#endpoints = new Share(this.#hold(families.p2cEndpoints, labels));
    const updates = (op: "Reset" | "Add" | "Remove"): Counter =>
      this.#hold(families.p2cUpdatesTotal, withFirst("op", op, labels));
    this.#updates = { reset: updates("Reset"), add: updates("Add"), remove: updates("Remove") };
    this.#queueLength = new Share(this.#hold(families.queueLength, labels));
    this.#requests = new Share(this.#hold(families.queueRequestsTotal, labels));
    this.#latency = this.#hold(families.queueLatencySeconds, labels);
    this.#gateOpen = this.#hold(families.queueGateOpenTotal, labels);
    this.#gateShut = this.#hold(families.queueGateShutTotal, labels);
    this.#gateOpenTime = this.#hold(families.queueGateOpenTimeSeconds, labels);
    this.#gateShutTime = this.#hold(families.queueGateShutTimeSeconds, labels);
    this.#hold(families.queueGateTimeoutSeconds, labels).value = failfastTimeoutMs / MS_PER_SECOND;
    this.onGate(true);
  }

  /** Whose metrics they are: known only after the queue, which is told of them first. */
  measure(endpoints: MeasuredEndpoints, queue: MeasuredQueue): void {
    this.#measured = [endpoints, queue];
  }

  /** Discovery said something. */
  countUpdate(kind: EndpointUpdate["kind"]): void {
    this.#updates[kind].value++;
  }

  onDispatch(waitedMs: number): void {
    this.#latency.observe(waitedMs / MS_PER_SECOND);
  }

  onGate(isOpen: boolean): void {
    const nowSeconds = wallMs() / MS_PER_SECOND;
    (isOpen ? this.#gateOpen : this.#gateShut).value++;
    this.#gateOpenTime.value = isOpen ? nowSeconds : 0;
    this.#gateShutTime.value = isOpen ? 0 : nowSeconds;
  }

  refresh(): void {
    if (this.#measured === undefined) return;
    const [endpoints, queue] = this.#measured;
    this.#ready.set(endpoints.readyCount);
    this.#pending.set(endpoints.size - endpoints.readyCount);
    this.#endpoints.set(endpoints.size);
    this.#queueLength.set(queue.waiting);
    this.#requests.set(queue.acceptedTotal);
    this.#latency.observeTimes(0, queue.passedTotal - this.#passed);
    this.#passed = queue.passedTotal;
  }

  /** The balancer is dropped. What it counted stays for the retention; its endpoints and those who waited are gone. */
  close(): void {
    this.refresh();
    for (const share of [this.#ready, this.#pending, this.#endpoints, this.#queueLength]) share.set(0);
    for (const { family, labels } of this.#held) family.release(labels);
    this.#held.length = 0;
    this.#measured = undefined;
    this.#onClose();
  }

  #hold<Cell>(family: Family<Cell>, labels: Labels): Cell {
    this.#held.push({ family, labels });
    return family.cell(labels);
  }
}

/** What one of several adds to a number that they have in common. */
class Share {
  readonly #cell: Gauge;
  #value = 0;

  constructor(cell: Gauge) {
    this.#cell = cell;
  }

  set(value: number): void {
    this.#cell.value += value - this.#value;
    this.#value = value;
  }
}
