import { loadLibc } from "./libc.ts";

/** How the kernel finds out that a peer vanished. */
export interface LivenessOptions {
  /** Silence before the first keep-alive probe, milliseconds; undefined: the system's default (two hours on Linux). */
  readonly keepAliveMs: number | undefined;
  /** How long sent bytes may stay unacknowledged before the connection is given up, milliseconds; undefined: the system's default. */
  readonly userTimeoutMs: number | undefined;
}

// Linux, include/uapi/asm-generic/socket.h and include/uapi/linux/tcp.h.
const SOL_SOCKET = 1;
const SO_KEEPALIVE = 9;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_KEEPIDLE = 4;
const TCP_USER_TIMEOUT = 18;

/** What kernels accept for TCP_KEEPIDLE, in seconds. */
const LONGEST_KEEP_IDLE_S = 32767;

/**
 * Sets keep-alive and user timeout on a descriptor. On Linux a listening socket hands these options down to every
 * connection accepted from it, so that a listener needs this once.
 *
 * Node's own `setKeepAlive` also shortens the probe interval to a second, which is not what the option asks for; it is
 * what callers use where this is unavailable.
 *
 * @returns the problems, in words; empty if everything asked for is set.
 */
export function setLiveness(fd: number, options: LivenessOptions): readonly string[] {
  const state = loadLibc();
  if (state.kind === "missing") {
    return options.userTimeoutMs === undefined ? [] : [`cannot set TCP_USER_TIMEOUT: ${state.reason}`];
  }
  const problems: string[] = [];
  const set = (name: string, level: number, option: number, value: number): void => {
    const errno = state.libc.setsockopt(fd, level, option, value);
    if (errno !== 0) problems.push(`cannot set ${name} to ${value}: errno ${errno}`);
  };
  set("SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1);
  if (options.keepAliveMs !== undefined) {
    const seconds = Math.min(Math.max(1, Math.round(options.keepAliveMs / 1000)), LONGEST_KEEP_IDLE_S);
    set("TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, seconds);
  }
  if (options.userTimeoutMs !== undefined) {
    const ms = Math.min(Math.round(options.userTimeoutMs), 2 ** 31 - 1);
    set("TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, ms);
  }
  return problems;
}

/**
 * Makes the coming close of a descriptor a TCP RST, dropping what was not sent.
 *
 * @returns false where that cannot be set; the close is then an ordinary one.
 */
export function resetOnClose(fd: number): boolean {
  const state = loadLibc();
  return state.kind === "available" && state.libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, 1, 0) === 0;
}

/** Whether keep-alive has to go through Node, whose call changes more than it should. */
export function livenessNeedsNode(): boolean {
  return loadLibc().kind === "missing";
}
