import type { Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { DnsName } from "../addr/dns-name.ts";
import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import type { Id } from "../identity/id.ts";
import type { TrustRoots } from "../identity/trust-roots.ts";
import type { Clock } from "../time/clock.ts";
import { dialSocket, timedOut } from "../transport/connect.ts";
import type { LivenessOptions } from "../transport/socket-options.ts";
import { transportOf, type SocketTransport } from "../transport/socket-transport.ts";
import type { Watch } from "../watch/watch.ts";
import type { Credentials } from "./credentials.ts";
import { handshakeError, PeerLeft, type HandshakeError } from "./handshake-error.ts";
import type { HandshakePacer } from "./handshake-pacer.ts";
import type { TRANSPORT_HEADER_ALPN } from "../wire/transport-header.ts";
import { checkServerId } from "./peer-certificate.ts";

/** A peer to reach over mutual TLS. */
export interface TlsTarget {
  readonly addr: SocketAddr;
  /** Who must answer. */
  readonly serverId: Id;
  /** What is asked for in SNI. */
  readonly serverName: DnsName;
  /** Offered to peers that may have to be told a target by transport header. */
  readonly alpn: typeof TRANSPORT_HEADER_ALPN | undefined;
}

/** A connection to a peer who has proved to be the one we wanted. */
export interface Originated {
  readonly transport: SocketTransport;
  /** What the peer agreed to. */
  readonly alpn: string | undefined;
  /** Key exchange group, for instance `X25519MLKEM768`; undefined if the runtime does not tell. */
  readonly group: string | undefined;
  /** `TLSv1.3`. */
  readonly version: string;
  /** `TLS_AES_128_GCM_SHA256`. */
  readonly cipher: string;
}

/** What an originator is made of. */
export interface OriginatorOptions extends LivenessOptions {
  readonly credentials: Watch<Credentials>;
  readonly pacer: HandshakePacer;
  /** Bounds TCP connect and handshake together. */
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
}

/**
 * Dials peers over mutual TLS with the credentials of the moment.
 *
 * Nobody gets to write on a connection before the chain has been verified and the leaf found to name the expected
 * identity. There is no way back to clear text.
 */
export class Originator {
  readonly #options: OriginatorOptions;

  constructor(options: OriginatorOptions) {
    this.#options = options;
  }

  /**
   * Connects; fails with ProxyError `connect_timeout`, `tls_identity` (a valid certificate of somebody else), `loadshed`,
   * `canceled` or `io` (everything else, a chain that does not verify included); with HandshakeError once TCP stands.
   *
   * @param signal gives the attempt up.
   */
  async originate(target: TlsTarget, signal?: AbortSignal): Promise<Originated> {
    const { clock, connectTimeoutMs, keepAliveMs, userTimeoutMs, pacer, credentials } = this.#options;
    const deadlineMs = clock.nowMs() + connectTimeoutMs;
    const liveness = { keepAliveMs, userTimeoutMs };
    const dial = {
      ...liveness,
      clock,
      timeoutMs: connectTimeoutMs,
      ...(signal === undefined ? {} : { signal }),
    };
    const socket = await dialSocket(target.addr, dial);
    const handshake = new Handshake(socket, target);
    const timer = clock.after(Math.max(deadlineMs - clock.nowMs(), 0), () => {
      handshake.fail(timedOut(connectTimeoutMs));
    });
    const onAbort = (): void => void handshake.fail(givenUp(target, signal));
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      if (signal?.aborted === true) onAbort();
      // Our turn comes when TCP stands, so that an address that does not answer takes nobody's turn.
      await Promise.race([pacer.turn(), handshake.outcome]);
      handshake.begin(credentials.value);
      return await handshake.outcome;
    } catch (error) {
      throw handshake.fail(error);
    } finally {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

/** One handshake: it ends once, by success, failure, or the peer leaving. */
class Handshake {
  readonly outcome: Promise<Originated>;
  readonly #resolve: (originated: Originated) => void;
  readonly #reject: (error: HandshakeError) => void;
  readonly #socket: Socket;
  readonly #target: TlsTarget;
  readonly #onClose = (): void => void this.fail(new PeerLeft("the peer closed the connection"));
  readonly #onError = (error: Error): void => void this.fail(error);
  #failure: HandshakeError | undefined;
  #isOver = false;

  constructor(socket: Socket, target: TlsTarget) {
    this.#socket = socket;
    this.#target = target;
    const { promise, resolve, reject } = Promise.withResolvers<Originated>();
    this.outcome = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    // Its failure may come while nobody waits for it yet.
    promise.catch(() => {});
    socket.once("close", this.#onClose);
    socket.on("error", this.#onError);
  }

  begin(credentials: Credentials): void {
    if (this.#isOver) return;
    const { serverName, alpn } = this.#target;
    const secured = connectTls({
      socket: this.#socket,
      secureContext: credentials.clientContext,
      servername: serverName,
      // OpenSSL's rules are not the mesh's: `#finish` judges, before anybody can write.
      rejectUnauthorized: false,
      ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
    });
    secured.on("error", this.#onError);
    secured.once("secureConnect", () => {
      try {
        this.#finish(secured, credentials.roots);
      } catch (error) {
        secured.destroy();
        this.fail(error);
      }
    });
  }

  /** Closes the connection. The first failure counts and is returned. After success it does nothing. */
  fail(thrown: unknown): HandshakeError {
    const doing = `TLS handshake with ${formatSocketAddr(this.#target.addr)} failed`;
    this.#failure ??= handshakeError(thrown, doing, "upstream");
    if (!this.#isOver) {
      this.#end();
      this.#socket.destroy();
      this.#reject(this.#failure);
    }
    return this.#failure;
  }

  /** @throws if the peer is not the one we wanted. */
  #finish(secured: TLSSocket, roots: TrustRoots): void {
    checkServerId(secured, roots, this.#target.serverId);
    const transport = transportOf(secured);
    secured.off("error", this.#onError);
    this.#end();
    this.#resolve({
      transport,
      alpn: secured.alpnProtocol || undefined,
      group: groupOf(secured),
      version: secured.getProtocol() ?? "",
      cipher: secured.getCipher().name,
    });
  }

  #end(): void {
    this.#isOver = true;
    this.#socket.off("close", this.#onClose);
    // The error listener of the socket stays, idle: an error nobody listens to would end the process.
  }
}

function groupOf(secured: TLSSocket): string | undefined {
  const info = secured.getEphemeralKeyInfo();
  return info !== null && "name" in info && typeof info.name === "string" ? info.name : undefined;
}

function givenUp(target: TlsTarget, signal: AbortSignal | undefined): ProxyError {
  const text = `connecting to ${formatSocketAddr(target.addr)} was given up`;
  return new ProxyError("canceled", text, { cause: signal?.reason, side: "proxy" });
}
