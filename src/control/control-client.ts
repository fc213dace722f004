import { Client, ChannelCredentials, Metadata, connectivityState, type ServiceError } from "@grpc/grpc-js";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { withoutTrailingDot } from "../addr/dns-name.ts";
import { formatAddr, isLoopbackAddr, type Addr } from "../addr/name-addr.ts";
import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import type { Log } from "../log/log.ts";
import { grpcMethod, type TypedMethod } from "../proto/grpc-service.ts";
import { Backoff, type BackoffParams } from "../time/backoff.ts";
import { sleep, type Clock } from "../time/clock.ts";
import { MeshCredentials, type ControlTls } from "./mesh-credentials.ts";
import { resolveAddress } from "./resolve-address.ts";
import { Code, type CallStatus, type OpenStream } from "./stream.ts";

/** LIM-25: one control-plane message. A larger one ends its stream; what was known before stays. */
export const MESSAGE_MAX_BYTES = 16 * 2 ** 20;
/** What a peer gets, after the TCP connection, for TLS and its first SETTINGS. */
const HANDSHAKE_TIMEOUT_MS = 2_000;
/** Addresses older than this are asked for again. Source: linkerd2-proxy, linkerd/dns/src/minimum_ttl.rs. */
const ADDRESSES_FRESH_MS = 5_000;
/** Source: linkerd2-proxy, linkerd/app/src/env.rs, initial connection window. */
const CONNECTION_WINDOW_BYTES = 2 ** 20;

export interface ControlClientOptions {
  /** For logs: `destination`, `policy`, `identity`. */
  readonly service: string;
  /** For logs: what the service is to whoever reads them, and what holds while it is away. */
  readonly role?: ServiceRole;
  readonly address: Addr;
  /** May be undefined for loopback alone, where it is not used. */
  readonly tls: ControlTls | undefined;
  /** Of the TCP connection, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Between attempts to connect. */
  readonly backoff: BackoffParams;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: () => number;
  readonly resolve?: (addr: Addr) => Promise<readonly SocketAddr[]>;
}

export interface ServiceRole {
  readonly name: string;
  readonly whileAway: string;
}
const CONTROL_PLANE: ServiceRole = { name: "control plane", whileAway: "what is known stays in force" };

/** The result of a unary call. */
export type CallResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly status: CallStatus };

interface Connection {
  readonly client: Client;
  readonly addr: SocketAddr;
  /** Whether it was ever made. grpc-js would make it again by itself, unpaced: one that breaks is left. */
  ready: boolean;
  /** Whether the server ever answered on it. One that did not is left at the first occasion. */
  heard: boolean;
  /** Why we closed it, where grpc-js itself could not say. */
  problem: string | undefined;
}

/**
 * Calls to one service of the control plane, over one connection at a time.
 *
 * The connection is made when a call needs it, to one of the service's addresses, and made anew at another when it
 * fails, falls silent before its first answer, or takes too long. Failed attempts are paced by one backoff for all
 * calls, which wait for the next attempt rather than make their own: however many streams break with a connection, the
 * control plane sees one reconnect. grpc-js does no reconnecting of its own here.
 */
export class ControlClient {
  readonly #options: ControlClientOptions;
  readonly #credentials: ChannelCredentials;
  readonly #authority: string;
  readonly #backoff: Backoff;
  readonly #closed = new AbortController();
  #current: Connection | undefined;
  #pending: Promise<Connection> | undefined;
  #notBeforeMs: number;
  #addresses: SocketAddr[] = [];
  #resolvedAtMs = 0;
  #unreachable: string | undefined;

  /** @throws if the address is not loopback and there is no TLS: the control plane is never trusted on its word. */
  constructor(options: ControlClientOptions) {
    this.#options = options;
    this.#authority = authorityOf(options.address);
    this.#backoff = new Backoff(options.backoff, options.random);
    this.#notBeforeMs = options.clock.nowMs();
    if (isLoopbackAddr(options.address)) this.#credentials = ChannelCredentials.createInsecure();
    else if (options.tls !== undefined) this.#credentials = new MeshCredentials(options.tls);
    else
      throw new Error(`${options.service} at ${this.#authority} is not on loopback and needs a server name`);
  }

  /** Why the service cannot be asked at present, in words for whoever has to wait; undefined while all is well. */
  get unreachable(): string | undefined {
    return this.#unreachable;
  }

  /** A server stream, ready to be opened by a stream machine, as often as it likes. */
  serverStream<I extends DescMessage, O extends DescMessage>(
    method: TypedMethod<I, O>,
    request: MessageShape<I>,
    metadata: Metadata = new Metadata(),
  ): OpenStream<MessageShape<O>> {
    return this.#stream(method, request, grpcMethod(method).responseDeserialize, metadata);
  }

  /** The same with the messages as bytes, for those that are too large to be decoded at once. */
  byteStream<I extends DescMessage, O extends DescMessage>(
    method: TypedMethod<I, O>,
    request: MessageShape<I>,
  ): OpenStream<Uint8Array> {
    return this.#stream(method, request, (bytes) => bytes, new Metadata());
  }

  #stream<I extends DescMessage, O extends DescMessage, T>(
    method: TypedMethod<I, O>,
    request: MessageShape<I>,
    responseDeserialize: (bytes: Buffer) => T,
    metadata: Metadata,
  ): OpenStream<T> {
    const { path, requestSerialize } = grpcMethod(method);
    return (events) => {
      let over = false;
      let cancelCall: (() => void) | undefined;
      const end = (status: CallStatus): void => {
        if (over) return;
        over = true;
        events.end(status);
      };
      const start = (connection: Connection): void => {
        if (over) return;
        const call = connection.client.makeServerStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadata,
        );
        cancelCall = () => {
          call.cancel();
          if (!connection.heard) this.#leave(connection);
        };
        call.on("metadata", () => this.#hear(connection));
        call.on("data", (message: T) => {
          this.#hear(connection);
          if (!over) events.message(message);
        });
        // Every error comes as a status as well; without a listener it would end the process.
        call.on("error", () => {});
        // Messages that arrived before the status may still be on their way through the stream's buffer.
        call.on("status", ({ code, details }) => {
          if (isAnswer(code)) this.#hear(connection);
          setImmediate(() => end({ code, message: connection.problem ?? details }));
        });
      };
      void this.#connection().then(start, (error: unknown) => end(statusOf(error)));
      return {
        cancel: () => {
          over = true;
          cancelCall?.();
        },
      };
    };
  }

  /**
   * One unary call. Without a deadline on the wire; aborting `signal` ends it with CANCELLED, and leaves the connection:
   * a peer from which no answer came in time may be gone without having said so.
   */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: TypedMethod<I, O>,
    request: MessageShape<I>,
    signal: AbortSignal,
  ): Promise<CallResult<MessageShape<O>>> {
    const { path, requestSerialize, responseDeserialize } = grpcMethod(method);
    let connection: Connection;
    try {
      connection = await this.#connection();
    } catch (error) {
      return { ok: false, status: statusOf(error) };
    }
    if (signal.aborted) return { ok: false, status: { code: Code.CANCELLED, message: "call abandoned" } };
    return new Promise((resolve) => {
      const done = (error: ServiceError | null, value?: MessageShape<O>): void => {
        signal.removeEventListener("abort", cancel);
        if (error === null && value !== undefined) resolve({ ok: true, value });
        else {
          const code = error?.code ?? Code.INTERNAL;
          resolve({
            ok: false,
            status: { code, message: connection.problem ?? error?.details ?? "empty answer" },
          });
        }
      };
      const call = connection.client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        new Metadata(),
        done,
      );
      const cancel = (): void => {
        call.cancel();
        this.#leave(connection);
      };
      signal.addEventListener("abort", cancel, { once: true });
      call.on("metadata", () => this.#hear(connection));
    });
  }

  /** Ends it: calls that wait for a connection fail, running ones go on until cancelled. */
  close(): void {
    this.#closed.abort(new Error(`${this.#options.service} client is closed`));
    if (this.#current !== undefined) this.#leave(this.#current);
  }

  #connection(): Promise<Connection> {
    const current = this.#current;
    // A stream may learn of the break before `#supervise` does.
    if (
      current?.ready &&
      current.client.getChannel().getConnectivityState(false) !== connectivityState.READY
    ) {
      this.#lost(current);
    }
    if (this.#current !== undefined) return Promise.resolve(this.#current);
    this.#pending ??= this.#connect().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #connect(): Promise<Connection> {
    const { clock } = this.#options;
    const waitMs = this.#notBeforeMs - clock.nowMs();
    if (waitMs > 0) await sleep(clock, waitMs, this.#closed.signal);
    let addr: SocketAddr;
    try {
      addr = await this.#nextAddress();
    } catch (error) {
      this.#failed(error instanceof Error ? error.message : String(error));
      throw error;
    }
    this.#closed.signal.throwIfAborted();
    const connection: Connection = {
      client: new Client(targetOf(addr), this.#credentials, {
        "grpc.default_authority": this.#authority,
        "grpc.max_receive_message_length": MESSAGE_MAX_BYTES,
        "grpc-node.flow_control_window": CONNECTION_WINDOW_BYTES,
        // Of our own making is every connection, and every reconnect.
        "grpc.use_local_subchannel_pool": 1,
        "grpc.enable_retries": 0,
        "grpc.enable_http_proxy": 0,
        "grpc.service_config_disable_resolution": 1,
      }),
      addr,
      ready: false,
      heard: false,
      problem: undefined,
    };
    this.#current = connection;
    this.#supervise(connection);
    return connection;
  }

  async #nextAddress(): Promise<SocketAddr> {
    const { clock, address, resolve = resolveAddress, random = Math.random } = this.#options;
    const nowMs = clock.nowMs();
    if (this.#addresses.length === 0 || nowMs - this.#resolvedAtMs > ADDRESSES_FRESH_MS) {
      this.#addresses = shuffled(await resolve(address), random);
      this.#resolvedAtMs = nowMs;
    }
    const next = this.#addresses.shift();
    if (next === undefined) throw new Error(`${this.#authority} has no addresses`);
    return next;
  }

  /** Leaves a connection as soon as it cannot carry calls. */
  #supervise(connection: Connection): void {
    const { clock, connectTimeoutMs } = this.#options;
    const channel = connection.client.getChannel();
    const timeout = clock.after(connectTimeoutMs + HANDSHAKE_TIMEOUT_MS, () => {
      connection.problem = `connecting to ${formatSocketAddr(connection.addr)} timed out`;
      this.#lost(connection);
    });
    const follow = (): void => {
      // A connection that was left for another is nobody's concern.
      const state =
        this.#current === connection ? channel.getConnectivityState(!connection.ready) : undefined;
      const isReady = state === connectivityState.READY;
      const mayBecome = state === connectivityState.IDLE || state === connectivityState.CONNECTING;
      if (state === undefined || !(isReady || (mayBecome && !connection.ready))) {
        timeout.cancel();
        this.#lost(connection);
        return;
      }
      if (isReady) {
        connection.ready = true;
        timeout.cancel();
      }
      channel.watchConnectivityState(state, Infinity, follow);
    };
    follow();
  }

  /** The connection broke. If it never carried an answer, that counts as a failed attempt. */
  #lost(connection: Connection): void {
    if (this.#current !== connection) return;
    // Calls that wait for the connection are failed by grpc-js itself, with its reason: it has to come first.
    setImmediate(() => connection.client.close());
    this.#current = undefined;
    if (!connection.heard)
      this.#failed(connection.problem ?? `no connection to ${formatSocketAddr(connection.addr)}`);
  }

  #leave(connection: Connection): void {
    if (this.#current === connection) this.#current = undefined;
    connection.client.close();
  }

  #failed(reason: string): void {
    const { clock, log, service, role = CONTROL_PLANE } = this.#options;
    const pauseMs = this.#backoff.next();
    this.#notBeforeMs = clock.nowMs() + pauseMs;
    const fields = { service, addr: this.#authority, error: reason, retry_ms: Math.round(pauseMs) };
    // One warning per outage: the rest is for those who look closely.
    if (this.#unreachable !== undefined) log.debug(`${role.name} is still unreachable`, fields);
    else log.warn(`${role.name} is unreachable; ${role.whileAway}`, fields);
    this.#unreachable = `${service} at ${this.#authority}: ${reason}`;
  }

  #hear(connection: Connection): void {
    if (connection.heard) return;
    connection.heard = true;
    this.#backoff.reset();
    if (this.#unreachable === undefined) return;
    this.#unreachable = undefined;
    const { log, service, role = CONTROL_PLANE } = this.#options;
    log.info(`${role.name} is reachable again`, { service, addr: formatSocketAddr(connection.addr) });
  }
}

/** `name:port` without the trailing dot of the name, and without the port if that is 80. */
function authorityOf(addr: Addr): string {
  const text = formatAddr(addr);
  const port = addr.kind === "name" ? addr.name.port : addr.socket.port;
  return port === 80 ? withoutTrailingDot(text.slice(0, -":80".length)) : text;
}

function targetOf(addr: SocketAddr): string {
  return `ipv${addr.ip.version}:${formatSocketAddr(addr)}`;
}

/** Whether a status must have come from the server: grpc-js gives these three itself when a connection fails. */
function isAnswer(code: number): boolean {
  return code !== Code.UNAVAILABLE && code !== Code.CANCELLED && code !== Code.INTERNAL;
}

function statusOf(error: unknown): CallStatus {
  return { code: Code.UNAVAILABLE, message: error instanceof Error ? error.message : String(error) };
}

/** Fisher and Yates: proxies that start together should not all choose the same replica. */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result: T[] = [];
  for (const item of items) {
    const i = Math.floor(random() * (result.length + 1));
    const displaced = result[i];
    if (displaced === undefined) result.push(item);
    else {
      result.push(displaced);
      result[i] = item;
    }
  }
  return result;
}
