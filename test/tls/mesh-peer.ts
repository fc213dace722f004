import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { parseSocketAddr, type SocketAddr } from "../../src/addr/socket-addr.ts";
import { parseId, type Id } from "../../src/identity/id.ts";
import { parseTrustRoots } from "../../src/identity/trust-roots.ts";
import type { Parsed } from "../../src/parsed.ts";
import { systemClock, type Clock } from "../../src/time/clock.ts";
import { CredentialsStore } from "../../src/tls/credentials.ts";
import { HandshakePacer } from "../../src/tls/handshake-pacer.ts";
import { Originator, type TlsTarget } from "../../src/tls/originate.ts";
import { Terminator, type Terminated, type TerminatePath } from "../../src/tls/terminate.ts";
import { transportOf } from "../../src/transport/socket-transport.ts";
import type { Transport } from "../../src/transport/transport.ts";
import type { TestCa, TestLeaf } from "../support/certs.ts";

export const WEB = "web.shop.serviceaccount.identity.linkerd.cluster.local";
export const DB = "db.shop.serviceaccount.identity.linkerd.cluster.local";

export function unwrap<T>(result: Parsed<T>): T {
  assert.ok(result.ok, result.ok ? "" : result.problem);
  return result.value;
}

export function id(text: string): Id {
  return unwrap(parseId(text));
}

/** A store that trusts `ca` and has no certificate yet. */
export function newStore(ca: TestCa, name = DB): CredentialsStore {
  const roots = unwrap(parseTrustRoots(ca.certPem)).roots;
  return new CredentialsStore(id(name), unwrap(parseDnsName(name)), roots);
}

export function certify(store: CredentialsStore, leaf: TestLeaf): void {
  unwrap(store.setCertificate(leaf.leafDer, leaf.intermediatesDer, leaf.key, leaf.notAfterMs, Date.now()));
}

/** A store with a certificate for `name`. */
export function certifiedStore(ca: TestCa, name = DB): CredentialsStore {
  const store = newStore(ca, name);
  certify(store, ca.issue({ id: name }));
  return store;
}

export function originatorOf(
  store: CredentialsStore,
  connectTimeoutMs = 5000,
  clock: Clock = systemClock,
): Originator {
  const pacer = new HandshakePacer();
  return new Originator({
    credentials: store.credentials,
    pacer,
    connectTimeoutMs,
    keepAliveMs: 10_000,
    userTimeoutMs: undefined,
    clock,
  });
}

export function target(addr: SocketAddr, options: Partial<TlsTarget> = {}): TlsTarget {
  return { addr, serverId: id(DB), serverName: unwrap(parseDnsName(DB)), alpn: undefined, ...options };
}

/** A listening socket whose connections go to `onSocket`. Closing it also ends its connections. */
export class TestListener {
  readonly addr: SocketAddr;
  readonly #close: () => Promise<void>;

  private constructor(addr: SocketAddr, close: () => Promise<void>) {
    this.addr = addr;
    this.#close = close;
  }

  static async open(onSocket: (socket: Socket) => void): Promise<TestListener> {
    const sockets = new Set<Socket>();
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      socket.on("error", () => {});
      onSocket(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    return new TestListener(unwrap(parseSocketAddr(`127.0.0.1:${port}`)), async () => {
      for (const socket of sockets) socket.destroy();
      const closed = once(server, "close");
      server.close();
      await closed;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

/** What the terminating listener allows for a handshake. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/** A listener that terminates TLS as the inbound side does: first bytes are read, put back, and handed over. */
export class TerminatingListener {
  readonly addr: SocketAddr;
  /** Outcomes in order of their ending. */
  readonly outcomes: Promise<Terminated>[] = [];
  readonly #listener: TestListener;
  readonly #waiting: ((outcome: Promise<Terminated>) => void)[];

  private constructor(
    listener: TestListener,
    outcomes: Promise<Terminated>[],
    waiting: ((o: Promise<Terminated>) => void)[],
  ) {
    this.addr = listener.addr;
    this.outcomes = outcomes;
    this.#listener = listener;
    this.#waiting = waiting;
  }

  static async open(
    store: CredentialsStore,
    path: TerminatePath = "ordinary",
    clock: Clock = systemClock,
  ): Promise<TerminatingListener> {
    const terminator = new Terminator({ credentials: store.credentials, pacer: new HandshakePacer(), clock });
    const outcomes: Promise<Terminated>[] = [];
    const waiting: ((outcome: Promise<Terminated>) => void)[] = [];
    const listener = await TestListener.open((socket) => {
      const plain = transportOf(socket);
      plain.attach({
        onBytes: (buffer, start, end) => {
          const outcome = terminator.terminate(
            plain.releaseSocket(Buffer.from(buffer.subarray(start, end))),
            path,
            clock.nowMs() + HANDSHAKE_TIMEOUT_MS,
          );
          outcome.catch(() => {});
          const first = waiting.shift();
          if (first === undefined) outcomes.push(outcome);
          else first(outcome);
        },
        onEnd: () => plain.destroy(),
        onDrain: () => {},
        onClose: () => {},
      });
    });
    return new TerminatingListener(listener, outcomes, waiting);
  }

  /** The outcome of the next connection. */
  next(): Promise<Terminated> {
    const ready = this.outcomes.shift();
    if (ready !== undefined) return ready;
    return new Promise((resolve) => {
      this.#waiting.push((outcome) => resolve(outcome));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener[Symbol.asyncDispose]();
  }
}

/** Collects what a transport delivers. */
export class Reader {
  text = "";
  isClosed = false;
  #check: () => void = () => {};

  constructor(transport: Transport) {
    transport.attach({
      onBytes: (buffer, start, end) => {
        this.text += buffer.toString("latin1", start, end);
        this.#check();
      },
      onEnd: () => transport.end(),
      onDrain: () => {},
      onClose: () => {
        this.isClosed = true;
        this.#check();
      },
    });
  }

  /** Resolves once `wanted` has arrived; rejects if the connection closes first. */
  waitFor(wanted: string): Promise<void> {
    return this.#until(
      () => this.text.includes(wanted),
      `closed before "${wanted}" came; got "${this.text}"`,
    );
  }

  closed(): Promise<void> {
    return this.#until(() => this.isClosed, "");
  }

  #until(isDone: () => boolean, problem: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#check = () => {
        if (isDone()) resolve();
        else if (this.isClosed) reject(new Error(problem));
      };
      this.#check();
    });
  }
}

export function say(transport: Transport, text: string): void {
  transport.writeLatin1(text);
  transport.flush();
}
