import { ProxyError } from "../errors/proxy-error.ts";
import { refusal } from "../http/queued-service.ts";
import type { Log } from "../log/log.ts";
import { authorityText } from "../metrics/labels.ts";
import type { ControlPlane } from "../control/control-plane.ts";
import type { Backend, Dispatcher } from "../policy/client-policy.ts";
import { formatMeta, type Meta } from "../policy/meta.ts";
import { DEFAULT_LOAD } from "../policy/synthesize.ts";
import { DispatchQueue } from "../stack/dispatch-queue.ts";
import type { Clock } from "../time/clock.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { CachedBackend } from "./backend-cache.ts";
import type {
  BalancerKind,
  BalancerMetrics,
  BalancerMetricsFactory,
  MeasuredQueue,
} from "./balancer-metrics.ts";
import type { Dialer } from "./dial.ts";
import { EndpointPool } from "./endpoint-pool.ts";
import { TcpEndpoint } from "./tcp-endpoint.ts";

/** What backends of connections are made with. */
export interface TcpContext {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly control: ControlPlane;
  readonly dialer: Dialer;
  readonly balancerMetrics: BalancerMetricsFactory;
  readonly queueCapacity: number;
  readonly failfastTimeoutMs: number;
}

/** Under which names a backend is counted. */
export interface CountedAs {
  readonly kind: BalancerKind;
  /** Of the policy that names the backend. */
  readonly parent: Meta;
}

/** A backend for connections whose bytes we do not interpret. */
export interface TcpBackend extends CachedBackend {
  /** Whether a connection would be taken: the queue has room and is not in failfast. */
  readonly available: boolean;
  /** Dials one of its servers. Rejects with a ProxyError. */
  connect(signal: AbortSignal): Promise<SocketTransport>;
  /**
   * Resolves when a server could be dialled at once. Whoever waits here takes no place in the queue and starts no
   * failfast timer: it must not count against those who have something to send. Rejects when `signal` aborts, and for a
   * backend that never can.
   */
  whenReady(signal: AbortSignal): Promise<void>;
}

/**
 * Makes a backend. There are no circuit breakers for connections, and a single endpoint has neither queue nor failfast.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/{opaq,tls}/concrete.rs.
 */
export function tcpBackend(
  { meta, dispatcher }: Backend,
  { kind, parent }: CountedAs,
  context: TcpContext,
): TcpBackend {
  switch (dispatcher.kind) {
    case "balance": {
      const { balancerMetrics, failfastTimeoutMs } = context;
      const metrics = balancerMetrics.forBalancer(kind, parent, meta, failfastTimeoutMs);
      return new TcpBalancer(formatMeta(meta), dispatcher, context, metrics);
    }
    case "forward": {
      const { dialer, clock } = context;
      const endpoint = new TcpEndpoint(
        dispatcher.endpoint,
        DEFAULT_LOAD,
        undefined,
        dialer,
        clock,
        "never_local",
      );
      return {
        available: true,
        connect: (signal) => endpoint.connect(signal),
        whenReady: () => Promise.resolve(),
        close: () => {},
      };
    }
    case "fail": {
      const fail = (): Promise<never> =>
        Promise.reject(new ProxyError("fail_dispatcher", dispatcher.message, { side: "proxy" }));
      return { available: true, connect: fail, whenReady: fail, close: () => {} };
    }
    default:
      return dispatcher satisfies never;
  }
}

type Balance = Extract<Dispatcher, { kind: "balance" }>;

/** Balances connections; while no endpoint is known they wait, at most until failfast. */
class TcpBalancer implements TcpBackend {
  readonly #pool: EndpointPool<TcpEndpoint>;
  readonly #queue: DispatchQueue;
  readonly #clock: Clock;
  readonly #name: string;
  readonly #stop = new AbortController();
  /** Those of `whenReady`. */
  readonly #onlookers = new Set<() => void>();
  readonly #metrics: BalancerMetrics;
  #failure: ProxyError | undefined = undefined;

  constructor(name: string, { path, load }: Balance, context: TcpContext, metrics: BalancerMetrics) {
    const { clock, random, dialer, control, log, queueCapacity, failfastTimeoutMs } = context;
    this.#clock = clock;
    this.#name = name;
    this.#metrics = metrics;
    if (load.kind === "penalty_peak_ewma") {
      log.warn("Connections are balanced by round-trip time alone: penalties are for HTTP", {
        backend: name,
      });
    }
    this.#queue = new DispatchQueue({
      capacity: queueCapacity,
      failfastTimeoutMs,
      clock,
      isReady: () => this.#pool.readyCount > 0,
      observer: metrics,
    });
    this.#pool = new EndpointPool(
      (endpoint) => new TcpEndpoint(endpoint, load, authorityText(path), dialer, clock),
      random,
      () => this.#onReady(),
    );
    metrics.measure(this.#pool, measured(this.#queue));
    control.resolveEndpoints(path, this.#stop.signal, {
      update: (update) => {
        this.#failure = undefined;
        metrics.countUpdate(update.kind);
        this.#pool.apply(update);
      },
      failed: (error) => {
        this.#failure = error;
        this.#pool.apply({ kind: "reset", endpoints: [] });
      },
    });
  }

  get available(): boolean {
    return this.#queue.isAvailable();
  }

  async connect(signal: AbortSignal): Promise<SocketTransport> {
    if (this.#failure !== undefined) throw this.#failure;
    const endpoint = await this.#endpoint(signal);
    return endpoint.connect(signal);
  }

  whenReady(signal: AbortSignal): Promise<void> {
    if (this.#pool.readyCount > 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const ready = (): void => {
        signal.removeEventListener("abort", gaveUp);
        resolve();
      };
      const gaveUp = (): void => {
        this.#onlookers.delete(ready);
        reject(canceled());
      };
      if (signal.aborted) return gaveUp();
      this.#onlookers.add(ready);
      signal.addEventListener("abort", gaveUp, { once: true });
    });
  }

  close(): void {
    this.#stop.abort();
    this.#queue.close();
    this.#metrics.close();
    this.#pool.close();
  }

  #onReady(): void {
    this.#queue.onReady();
    const onlookers = [...this.#onlookers];
    this.#onlookers.clear();
    for (const ready of onlookers) ready();
  }

  #endpoint(signal: AbortSignal): Promise<TcpEndpoint> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(canceled());
      const settle = (): void => signal.removeEventListener("abort", gaveUp);
      const place = this.#queue.submit({
        dispatch: () => {
          settle();
          const endpoint = this.#pool.pick(this.#clock.nowMs());
          if (endpoint === undefined) reject(refusal("failfast", this.#name));
          else resolve(endpoint);
        },
        refuse: (reason) => {
          settle();
          reject(refusal(reason, this.#name));
        },
      });
      function gaveUp(): void {
        place?.cancel();
        reject(canceled());
      }
      if (place !== undefined) signal.addEventListener("abort", gaveUp, { once: true });
    });
  }
}

/** Its observer is told of everybody, also of those who pass straight through. */
function measured(queue: DispatchQueue): MeasuredQueue {
  return {
    get waiting() {
      return queue.length;
    },
    get acceptedTotal() {
      return queue.stats.acceptedTotal;
    },
    passedTotal: 0,
  };
}

function canceled(): ProxyError {
  return new ProxyError("canceled", "the application gave up", { side: "downstream" });
}
