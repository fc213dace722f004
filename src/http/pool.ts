import { errorFromNode } from "../errors/from-node.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { systemClock, type Clock, type Timer } from "../time/clock.ts";
import type { Transport } from "../transport/transport.ts";
import { findField, headerName } from "../wire/header-field.ts";
import { H1Client, type H1ClientOwner } from "./client/h1.ts";
import { DiscardSink, type HttpService, type RequestHead, type ResponseSink, type Sink } from "./message.ts";
import { PendingExchange } from "./pending-exchange.ts";

export interface H1PoolOptions {
  /** Dials the endpoint, with TLS and transport header where it has them. Rejects with a ProxyError. */
  readonly connect: () => Promise<Transport>;
  readonly clock?: Clock;
  /** Idle connections of the endpoint kept for later. Default 10,000, as linkerd2-proxy. */
  readonly maxIdle?: number;
  /** Milliseconds after which an idle connection is closed. Default 3,000, as linkerd2-proxy. */
  readonly idleTimeoutMs?: number;
}

/** Source: linkerd2-proxy, linkerd/app/src/env.rs. */
const MAX_IDLE = 10_000;
const IDLE_TIMEOUT_MS = 3_000;

const HOST = headerName("host");

/**
 * The HTTP/1 connections of one endpoint. Always ready: a connection is opened when a request needs one, so an endpoint
 * that cannot be reached fails each request.
 *
 * Connections are shared by requests of the same authority and target form only. The one used last is used first. A
 * request that finds none idle takes whichever comes first, the one dialled for it or one that becomes idle. HTTP/1.0
 * requests, and those without a Host, get a connection of their own.
 *
 * Source: linkerd2-proxy, linkerd/proxy/http/src/h1.rs; hyper-util's client pool.
 */
export class H1Pool implements HttpService {
  readonly #options: H1PoolOptions;
  readonly #clock: Clock;
  readonly #maxIdle: number;
  readonly #idleTimeoutMs: number;
  readonly #originForm = new Map<string, Group>();
  readonly #absoluteForm = new Map<string, Group>();
  /** Every connection that stands. Not one set for busy and one for idle: sets that are changed per request grow garbage. */
  readonly #connections = new Set<H1Client>();
  #idle = 0;
  #connecting = 0;
  #opened = 0;
  #replayed = 0;
  #sweep: Timer | undefined = undefined;
  #closed = false;

  constructor(options: H1PoolOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#maxIdle = options.maxIdle ?? MAX_IDLE;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
  }

  /** Connections without an exchange. */
  get idleConnections(): number {
    return this.#idle;
  }
  /** Connections with an exchange or tunnel. */
  get activeConnections(): number {
    return this.#connections.size - this.#idle;
  }
  /** Dials under way. */
  get connecting(): number {
    return this.#connecting;
  }
  /** Connections made so far. */
  get opened(): number {
    return this.#opened;
  }
  /** Requests sent again because their idle connection turned out to be gone. */
  get replayed(): number {
    return this.#replayed;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    if (this.#closed) {
      response.reset(
        new ProxyError("shutting_down", "the endpoint's connections are closed", { side: "proxy" }),
      );
      return new DiscardSink(response);
    }
    if (!isShareable(head)) return this.#dialFor(new Group(this, undefined, ""), head, last, response);
    const group = this.#group(head);
    for (;;) {
      const client = group.take();
      if (client === undefined) return this.#dialFor(group, head, last, response);
      this.#idle--;
      if (client.idle) return client.call(head, last, response);
    }
  }

  /** Closes idle connections at once and the others after their exchange, which may yet have to wait for them; takes no further calls. */
  close(): void {
    this.#closed = true;
    this.#sweep?.cancel();
    this.#sweep = undefined;
    for (const groups of [this.#originForm, this.#absoluteForm]) {
      for (const group of groups.values()) group.closeIdle(Number.POSITIVE_INFINITY);
    }
    for (const client of this.#connections) client.close();
  }

  #group(head: RequestHead): Group {
    const groups = head.absoluteForm ? this.#absoluteForm : this.#originForm;
    const key = head.authority?.value ?? findField(head.fields, HOST)?.value ?? "";
    let group = groups.get(key);
    if (group === undefined) {
      group = new Group(this, groups, key);
      groups.set(key, group);
    }
    return group;
  }

  #dialFor(group: Group, head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const pending = new PendingExchange(head, last, response);
    group.wait(pending);
    this.#dial(group);
    return pending;
  }

  #dial(group: Group): void {
    this.#connecting++;
    group.connecting++;
    this.#options.connect().then(
      (transport) => {
        this.#connecting--;
        group.connecting--;
        this.#opened++;
        const client = new H1Client(transport, group);
        group.connections++;
        this.#connections.add(client);
        this.ready(group, client);
      },
      (error: unknown) => {
        this.#connecting--;
        group.connecting--;
        group.dialFailed(errorFromNode(error, "connect"));
      },
    );
  }

  // ---- for groups -----------------------------------------------------------------------------------------------------

  /** A connection can take a request: the one that waits longest, or a later one. */
  ready(group: Group, client: H1Client): void {
    const pending = group.nextWaiting();
    if (pending !== undefined) {
      pending.start(client);
      // A request that was waiting for this connection when the pool was closed is the last one on it.
      if (this.#closed) client.close();
      return;
    }
    if (this.#closed || !group.shared || this.#idle >= this.#maxIdle) {
      client.close();
      return;
    }
    this.#idle++;
    group.keep(client, this.#clock.nowMs());
    this.#sweep ??= this.#clock.after(this.#idleTimeoutMs, () => this.#closeExpired());
  }

  gone(client: H1Client, wasIdle: boolean): void {
    this.#connections.delete(client);
    if (wasIdle) this.#idle--;
  }

  replay(group: Group, head: RequestHead, response: ResponseSink): Sink | undefined {
    if (this.#closed) return undefined;
    this.#replayed++;
    // A new connection, because others that were idle as long are likely to be gone as well. If the lost one was the last
    // of its group, the group is forgotten by now.
    return this.#dialFor(group.shared ? this.#group(head) : group, head, true, response);
  }

  #closeExpired(): void {
    this.#sweep = undefined;
    const expiredMs = this.#clock.nowMs() - this.#idleTimeoutMs;
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const groups of [this.#originForm, this.#absoluteForm]) {
      for (const group of groups.values()) oldestMs = Math.min(oldestMs, group.closeIdle(expiredMs));
    }
    if (oldestMs === Number.POSITIVE_INFINITY) return;
    this.#sweep = this.#clock.after(Math.max(1, oldestMs - expiredMs), () => this.#closeExpired());
  }
}

/** Connections that may stand in for each other, and the requests that wait for one. */
class Group implements H1ClientOwner {
  connecting = 0;
  /** Idle and active. */
  connections = 0;
  readonly shared: boolean;
  readonly #pool: H1Pool;
  readonly #siblings: Map<string, Group> | undefined;
  readonly #key: string;
  /** Oldest first. */
  readonly #idle: H1Client[] = [];
  readonly #idleSinceMs: number[] = [];
  readonly #waiting: PendingExchange[] = [];

  constructor(pool: H1Pool, siblings: Map<string, Group> | undefined, key: string) {
    this.#pool = pool;
    this.#siblings = siblings;
    this.#key = key;
    this.shared = siblings !== undefined;
  }

  /** The connection that was used last. */
  take(): H1Client | undefined {
    this.#idleSinceMs.pop();
    return this.#idle.pop();
  }

  keep(client: H1Client, nowMs: number): void {
    this.#idle.push(client);
    this.#idleSinceMs.push(nowMs);
  }

  wait(pending: PendingExchange): void {
    this.#waiting.push(pending);
    pending.onCanceled = (exchange) => {
      const at = this.#waiting.indexOf(exchange);
      if (at >= 0) this.#waiting.splice(at, 1);
    };
  }

  nextWaiting(): PendingExchange | undefined {
    return this.#waiting.shift();
  }

  /** The dials still under way serve the others: only a request that none is left for fails. */
  dialFailed(error: ProxyError): void {
    if (this.#waiting.length > this.connecting) this.#waiting.shift()?.fail(error);
    this.#forgetIfUnused();
  }

  /** Closes what is idle since `expiredMs` or longer; returns since when the oldest of the rest is. */
  closeIdle(expiredMs: number): number {
    let expired = 0;
    while (expired < this.#idle.length && (this.#idleSinceMs[expired] ?? 0) <= expiredMs) expired++;
    for (const client of this.#idle.slice(0, expired)) client.close();
    return this.#idleSinceMs[0] ?? Number.POSITIVE_INFINITY;
  }

  onIdle(client: H1Client): void {
    this.#pool.ready(this, client);
  }

  onGone(client: H1Client): void {
    const at = this.#idle.indexOf(client);
    if (at >= 0) {
      this.#idle.splice(at, 1);
      this.#idleSinceMs.splice(at, 1);
    }
    this.connections--;
    this.#pool.gone(client, at >= 0);
    this.#forgetIfUnused();
  }

  replay(head: RequestHead, response: ResponseSink): Sink | undefined {
    return this.#pool.replay(this, head, response);
  }

  #forgetIfUnused(): void {
    if (this.connections + this.connecting + this.#waiting.length === 0) this.#siblings?.delete(this.#key);
  }
}

/** Whether a request may travel on a connection that others used or will use. */
function isShareable(head: RequestHead): boolean {
  if (head.version === 10) return false;
  if (head.version === 20 || head.absoluteForm || head.path === undefined) return true;
  const host = findField(head.fields, HOST);
  return host !== undefined && host.value !== "";
}
