import { AsyncLocalStorage } from "node:async_hooks";
import type { Socket } from "node:net";
import type { Server, TLSSocket } from "node:tls";
import { ProxyError } from "../errors/proxy-error.ts";
import type { Id } from "../identity/id.ts";
import type { Clock, Timer } from "../time/clock.ts";
import { transportOf, type SocketTransport } from "../transport/socket-transport.ts";
import type { Watch } from "../watch/watch.ts";
import type { Credentials } from "./credentials.ts";
import type { TrustRoots } from "../identity/trust-roots.ts";
import { HandshakeError, handshakeError, PeerLeft } from "./handshake-error.ts";
import type { HandshakePacer } from "./handshake-pacer.ts";
import { TRANSPORT_HEADER_ALPN } from "../wire/transport-header.ts";
import { clientIdOf } from "./peer-certificate.ts";

/** A connection whose TLS ends here. */
export interface Terminated {
  readonly transport: SocketTransport;
  /** Undefined if the client presented no certificate, or one that names nobody. */
  readonly clientId: Id | undefined;
  readonly alpn: string | undefined;
  /** `TLSv1.3`. */
  readonly version: string;
  /** `TLS_AES_128_GCM_SHA256`. */
  readonly cipher: string;
}

/** Which way a connection came: only `direct` ones negotiate the transport header's ALPN. */
export type TerminatePath = "ordinary" | "direct";

/** Handshakes begun and not ended; each holds some 60 KB of OpenSSL state. Beyond it the oldest gives way: it is the least likely to end well. */
const MAX_UNFINISHED = 512;

/** What a terminator is made of. */
export interface TerminatorOptions {
  readonly credentials: Watch<Credentials>;
  readonly pacer: HandshakePacer;
  readonly clock: Clock;
}

/**
 * Ends the TLS of accepted connections with the credentials of the moment.
 *
 * A client without a certificate is let in without an id. One whose certificate does not verify, has expired or is not
 * meant for clients loses its connection: it must never pass for a client without one.
 */
export class Terminator {
  readonly #credentials: Watch<Credentials>;
  readonly #pacer: HandshakePacer;
  readonly #clock: Clock;
  readonly #unfinished = new Set<Handshake>();
  #servers: Servers | undefined;

  constructor(options: TerminatorOptions) {
    this.#credentials = options.credentials;
    this.#pacer = options.pacer;
    this.#clock = options.clock;
  }

  /**
   * Takes over a socket that is paused, with the ClientHello put back in front of its unread bytes.
   *
   * Fails with HandshakeError `io` (or `loadshed`); the socket is then closed. Nothing is ever handed on in clear.
   *
   * @param deadlineMs monotonic; by then the handshake must be over (LIM-22).
   */
  async terminate(socket: Socket, path: TerminatePath, deadlineMs: number): Promise<Terminated> {
    const { roots } = this.#credentials.value;
    const handshake = new Handshake(socket, roots, deadlineMs - this.#clock.nowMs(), this.#clock);
    try {
      await Promise.race([this.#pacer.turn(), handshake.outcome]);
      this.#begin(handshake, path);
      return await handshake.outcome;
    } catch (error) {
      throw handshake.fail(error);
    } finally {
      this.#unfinished.delete(handshake);
    }
  }

  #begin(handshake: Handshake, path: TerminatePath): void {
    if (handshake.isOver) return;
    const server = this.#serversOfNow()[path];
    const [oldest] = this.#unfinished;
    if (this.#unfinished.size >= MAX_UNFINISHED) {
      oldest?.fail(
        new ProxyError("loadshed", `${MAX_UNFINISHED} TLS handshakes are unfinished, the oldest gives way`),
      );
    }
    this.#unfinished.add(handshake);
    // A peer that finishes its direction in mid-handshake has left; the transport made afterwards allows it again.
    handshake.socket.allowHalfOpen = false;
    // The server tells the outcome by events that do not say which socket they are about; the context of this call does.
    handshakes.run(handshake, () => server.emit("connection", handshake.socket));
  }

  /** Servers are made once per rotation: making one parses the key and the certificates. */
  #serversOfNow(): Servers {
    const { certified } = this.#credentials.value;
    if (certified === undefined) {
      const text = "no certificate has been issued to this proxy yet";
      throw new HandshakeError("no_own_certificate", "io", text, { side: "proxy" });
    }
    if (this.#servers?.certified !== certified) {
      const ordinary = listenToOutcomes(certified.newServer(undefined));
      const direct = listenToOutcomes(certified.newServer([TRANSPORT_HEADER_ALPN]));
      this.#servers = { certified, ordinary, direct };
    }
    return this.#servers;
  }
}

interface Servers extends Readonly<Record<TerminatePath, Server>> {
  readonly certified: Credentials["certified"];
}

const handshakes = new AsyncLocalStorage<Handshake>();

function listenToOutcomes(server: Server): Server {
  server.on("secureConnection", (socket) => {
    const handshake = handshakes.getStore();
    if (handshake === undefined) socket.destroy();
    else handshake.finish(socket);
  });
  server.on("tlsClientError", (error) => handshakes.getStore()?.fail(error));
  return server;
}

/** One handshake: it ends once, by success, failure, deadline or the peer leaving. */
class Handshake {
  readonly socket: Socket;
  readonly outcome: Promise<Terminated>;
  readonly #resolve: (terminated: Terminated) => void;
  readonly #reject: (error: HandshakeError) => void;
  readonly #timer: Timer;
  readonly #roots: TrustRoots;
  readonly #onClose = (): void => void this.fail(new PeerLeft("the peer left"));
  readonly #onError = (error: Error): void => void this.fail(error);
  #failure: HandshakeError | undefined;
  isOver = false;

  constructor(socket: Socket, roots: TrustRoots, timeoutMs: number, clock: Clock) {
    this.socket = socket;
    this.#roots = roots;
    const { promise, resolve, reject } = Promise.withResolvers<Terminated>();
    this.outcome = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    // Its failure may come while nobody waits for it yet, between two turns of the pacer.
    promise.catch(() => {});
    this.#timer = clock.after(Math.max(timeoutMs, 0), () => {
      const text = `${DOING}: not finished within ${Math.round(timeoutMs)} ms`;
      this.fail(new HandshakeError("timeout", "io", text, { side: "downstream" }));
    });
    socket.once("close", this.#onClose);
    socket.on("error", this.#onError);
    if (socket.destroyed) this.#onClose();
  }

  finish(secured: TLSSocket): void {
    if (this.isOver) {
      secured.destroy();
      return;
    }
    try {
      const clientId = clientIdOf(secured, this.#roots);
      const transport = transportOf(secured);
      this.#end();
      this.#resolve({
        transport,
        clientId,
        alpn: secured.alpnProtocol || undefined,
        version: secured.getProtocol() ?? "",
        cipher: secured.getCipher().name,
      });
    } catch (error) {
      // Destroyed without a word: the alert that belongs here cannot be sent from outside OpenSSL.
      secured.destroy();
      this.fail(error);
    }
  }

  /** Closes the connection. The first failure counts and is returned. */
  fail(thrown: unknown): HandshakeError {
    this.#failure ??= handshakeError(thrown, DOING, "downstream");
    if (!this.isOver) {
      this.#end();
      this.socket.destroy();
      this.#reject(this.#failure);
    }
    return this.#failure;
  }

  #end(): void {
    this.isOver = true;
    this.#timer.cancel();
    this.socket.off("close", this.#onClose);
    // The error listener stays, idle: an error nobody listens to would end the process.
  }
}

const DOING = "TLS handshake with the client failed";
