import { connect, type Socket } from "node:net";
import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { errorFromNode } from "../errors/from-node.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import type { Clock } from "../time/clock.ts";
import { descriptorOf } from "./libc.ts";
import { livenessNeedsNode, setLiveness, type LivenessOptions } from "./socket-options.ts";
import { transportOf, type SocketTransport } from "./socket-transport.ts";

/** How to dial. */
export interface ConnectOptions extends LivenessOptions {
  readonly clock: Clock;
  /** For the TCP handshake alone. Whoever adds steps to it (TLS) bounds the whole and may pass the rest here. */
  readonly timeoutMs: number;
  /** Gives the attempt up, with a ProxyError `canceled`. */
  readonly signal?: AbortSignal;
}

/**
 * Dials and makes a transport.
 *
 * @throws ProxyError `connect_timeout` ("connect timed out after 1s"), `io` with the errno as its cause's code, or `canceled`.
 */
export async function connectTcp(addr: SocketAddr, options: ConnectOptions): Promise<SocketTransport> {
  return transportOf(await dialSocket(addr, options));
}

/**
 * Dials a raw socket: connected, unread and paused, half-open allowed, without Nagle's delay. For TLS, which needs the
 * socket itself. Fails as `connectTcp`.
 */
export function dialSocket(addr: SocketAddr, options: ConnectOptions): Promise<Socket> {
  const { clock, timeoutMs, keepAliveMs, signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(canceled(addr, signal));
      return;
    }
    const socket = connect({
      host: addr.ip.text,
      port: addr.port,
      noDelay: true,
      allowHalfOpen: true,
      keepAlive: true,
      ...(livenessNeedsNode() && keepAliveMs !== undefined ? { keepAliveInitialDelay: keepAliveMs } : {}),
    });
    // Without this Node starts to read as soon as the connection stands, before anybody takes the bytes.
    socket.pause();
    const settle = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
      socket.off("connect", onConnect);
      socket.off("error", onError);
    };
    const fail = (error: ProxyError): void => {
      settle();
      socket.on("error", () => {});
      socket.destroy();
      reject(error);
    };
    const onConnect = (): void => {
      settle();
      // Failing to set these never costs a connection; the listeners report the same failure once at start.
      const fd = descriptorOf(socket);
      if (fd !== undefined) setLiveness(fd, options);
      // Whoever gets the socket adds its own; until then an error must not end the process.
      socket.on("error", () => {});
      resolve(socket);
    };
    const onError = (error: Error): void =>
      fail(withSide(errorFromNode(error, `cannot connect to ${formatSocketAddr(addr)}`)));
    // The reason is the aborter's; it is kept as the cause.
    const onAbort = (): void => fail(canceled(addr, signal));
    const timer = clock.after(timeoutMs, () => fail(timedOut(timeoutMs)));
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.on("connect", onConnect);
    socket.on("error", onError);
  });
}

/** The error of a connection attempt that took too long, TLS included. The text is what operators of Linkerd search for. */
export function timedOut(timeoutMs: number): ProxyError {
  return new ProxyError("connect_timeout", `connect timed out after ${seconds(timeoutMs)}`, {
    side: "upstream",
  });
}

/** `1s`, `1.5s`, `300ms`. */
function seconds(ms: number): string {
  return ms >= 1000 ? `${ms / 1000}s` : `${ms}ms`;
}

function canceled(addr: SocketAddr, signal: AbortSignal | undefined): ProxyError {
  const text = `connecting to ${formatSocketAddr(addr)} was given up`;
  return new ProxyError("canceled", text, { cause: signal?.reason, side: "proxy" });
}

function withSide(error: ProxyError): ProxyError {
  return new ProxyError(error.code, error.message, { ...error.detail, side: "upstream" });
}
