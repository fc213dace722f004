import { PeakEwma } from "../balance/peak-ewma.ts";
import type { OutboundEndpoint } from "../metrics/labels.ts";
import type { LoadParams } from "../policy/client-policy.ts";
import type { Endpoint } from "../policy/endpoint.ts";
import type { Clock } from "../time/clock.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { Dialer, Locality } from "./dial.ts";
import type { PooledEndpoint } from "./endpoint-pool.ts";

/**
 * An endpoint of an opaque backend: always ready, dialled anew for each connection. Its load is the time that connecting
 * takes, TLS included.
 *
 * Source: linkerd2-proxy, linkerd/proxy/tcp/src/balance.rs.
 */
export class TcpEndpoint implements PooledEndpoint {
  readonly endpoint: Endpoint;
  readonly ready = true;
  readonly #load: PeakEwma;
  readonly #clock: Clock;
  readonly #dialer: Dialer;
  readonly #at: OutboundEndpoint;
  readonly #locality: Locality;

  constructor(
    endpoint: Endpoint,
    load: LoadParams,
    authority: OutboundEndpoint["authority"],
    dialer: Dialer,
    clock: Clock,
    locality: Locality = "by_address",
  ) {
    this.endpoint = endpoint;
    this.#clock = clock;
    this.#dialer = dialer;
    this.#load = new PeakEwma(load.defaultRttMs, load.decayMs, clock.nowMs());
    const { addr, metadata } = endpoint;
    this.#at = { authority, addr, tls: dialer.tlsOf(endpoint, locality), labels: metadata.labels };
    this.#locality = locality;
  }

  load(nowMs: number): number {
    return this.#load.load(nowMs);
  }

  async connect(signal: AbortSignal): Promise<SocketTransport> {
    const startedAtMs = this.#clock.nowMs();
    this.#load.begin();
    try {
      return await this.#dialer.dial(this.endpoint, undefined, this.#at, signal, this.#locality);
    } finally {
      this.#load.end(startedAtMs, this.#clock.nowMs(), undefined);
    }
  }

  /** Connections that it made live on by themselves. */
  close(): void {}
}
