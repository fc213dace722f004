/**
 * Sockets by plain system calls, for the load generator alone.
 *
 * It has to be cheaper than every proxy it measures, and it must never sleep: on a small virtual machine a write to a
 * sleeping process costs a wake-up of its core, which makes the same proxy measure at twice its cost from one minute to the
 * next. Node's own sockets cost as much as the proxies and sleep when they can. Linux on 64 bits, which is where the
 * processor accounting of the bench comes from too.
 */
import { dlopen, getInt32 } from "node:ffi";
import { readFileSync } from "node:fs";
import { getSystemErrorName } from "node:util";

// Lengths are 64 bits wide; 32 of them fill the register, and spare a BigInt per call.
const { functions: libc } = dlopen(null, {
  socket: { return: "i32", arguments: ["i32", "i32", "i32"] },
  bind: { return: "i32", arguments: ["i32", "pointer", "u32"] },
  listen: { return: "i32", arguments: ["i32", "i32"] },
  connect: { return: "i32", arguments: ["i32", "pointer", "u32"] },
  accept4: { return: "i32", arguments: ["i32", "pointer", "pointer", "i32"] },
  getsockname: { return: "i32", arguments: ["i32", "pointer", "pointer"] },
  setsockopt: { return: "i32", arguments: ["i32", "i32", "i32", "pointer", "u32"] },
  recv: { return: "i32", arguments: ["i32", "pointer", "u32", "i32"] },
  send: { return: "i32", arguments: ["i32", "pointer", "u32", "i32"] },
  close: { return: "i32", arguments: ["i32"] },
  epoll_create1: { return: "i32", arguments: ["i32"] },
  epoll_ctl: { return: "i32", arguments: ["i32", "i32", "i32", "pointer"] },
  epoll_wait: { return: "i32", arguments: ["i32", "pointer", "i32", "i32"] },
  clock_gettime: { return: "i32", arguments: ["i32", "pointer"] },
  __errno_location: { return: "pointer", arguments: [] },
});

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const EINTR = 4;
const EAGAIN = 11;
const ENFILE = 23;
const EMFILE = 24;
const EADDRNOTAVAIL = 99;
const ECONNABORTED = 103;
const EINPROGRESS = 115;
const CLOCK_THREAD_CPUTIME_ID = 3;
const BACKLOG = 4096;

/** What `receive`, `send` and `accept` answer where there is nothing to be done now. */
export const AGAIN = -1;
/** The connection is broken. */
export const BROKEN = -2;

const one = Buffer.alloc(4);
one.writeInt32LE(1);

const LOCALHOST = "127.0.0.1";

/** An IPv4 address and a port as `struct sockaddr_in`. */
function socketAddress(host: string, port: number): Buffer {
  const address = Buffer.alloc(16);
  address.writeUInt16LE(AF_INET, 0);
  address.writeUInt16BE(port, 2);
  address.set(host.split(".").map(Number), 4);
  return address;
}

function errno(): number {
  return getInt32(libc.__errno_location());
}

/** @param fd not needed any more if the call failed. */
function must(call: string, result: number, fd = -1): number {
  if (result >= 0) return result;
  const error = failure(call, errno());
  if (fd >= 0) libc.close(fd);
  throw error;
}

function failure(call: string, code: number): Error {
  return new Error(`${call}: ${getSystemErrorName(-code)}${hintFor(code)}`);
}

/** Read beforehand: to read it takes a descriptor. */
const OPEN_FILES_MAX = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];

/** Which limit of the system it was, where many connections run into one. */
function hintFor(code: number): string {
  if (code === EMFILE) return `, more than ${OPEN_FILES_MAX} open files (ulimit -n)`;
  if (code === ENFILE) return ", more open files than the system has (fs.file-max)";
  if (code === EADDRNOTAVAIL) {
    return ", no port is left to connect from (net.ipv4.ip_local_port_range, net.ipv4.tcp_tw_reuse)";
  }
  return "";
}

const timespec = Buffer.alloc(16);

/** Processor time of this thread to the nanosecond, in milliseconds; Node's own knows it to the tick of the scheduler. */
export function threadCpuMs(): number {
  must("clock_gettime", libc.clock_gettime(CLOCK_THREAD_CPUTIME_ID, timespec));
  return Number(timespec.readBigInt64LE(0)) * 1e3 + Number(timespec.readBigInt64LE(8)) / 1e6;
}

/** @param port 0: one that is free. */
export function listenOn(
  port: number,
  host = LOCALHOST,
  backlog = BACKLOG,
): { readonly fd: number; readonly port: number } {
  // Not blocking: whoever accepts does so until nobody is left, and must not wait for one that gave up meanwhile.
  const fd = must("socket", libc.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, one, one.length);
  const address = socketAddress(host, port);
  must(`bind to ${host}:${port}`, libc.bind(fd, address, address.length), fd);
  must("listen", libc.listen(fd, backlog), fd);
  const length = Buffer.alloc(4);
  length.writeInt32LE(address.length);
  must("getsockname", libc.getsockname(fd, address, length), fd);
  return { fd, port: address.readUInt16BE(2) };
}

/** Blocks until connected: on loopback that is until the listener's backlog has it. */
export function connectTo(port: number): number {
  const fd = must("socket", libc.socket(AF_INET, SOCK_STREAM, 0));
  const address = socketAddress(LOCALHOST, port);
  must(`connect to ${LOCALHOST}:${port}`, libc.connect(fd, address, address.length), fd);
  libc.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, one, one.length);
  return fd;
}

/** Does not wait, however full the backlog is: what is sent before the connection stands is answered with `AGAIN`. */
export function startConnecting(port: number): number {
  const fd = must("socket", libc.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  const address = socketAddress(LOCALHOST, port);
  const result = libc.connect(fd, address, address.length);
  if (result < 0 && errno() !== EINPROGRESS) must(`connect to ${LOCALHOST}:${port}`, result, fd);
  libc.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, one, one.length);
  return fd;
}

/** @returns a descriptor, or `AGAIN` if nobody waits. */
export function accept(listener: number): number {
  const fd = libc.accept4(listener, 0n, 0n, 0);
  if (fd < 0) {
    const code = errno();
    if (code === EAGAIN || code === ECONNABORTED) return AGAIN;
    throw failure("accept", code);
  }
  libc.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, one, one.length);
  return fd;
}

/** Bytes read into the beginning of `buffer`, 0 at the end, `AGAIN` or `BROKEN`. */
export function receive(fd: number, buffer: Buffer): number {
  const result = libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT);
  if (result >= 0) return result;
  return errno() === EAGAIN ? AGAIN : BROKEN;
}

/** Bytes taken from the beginning of `buffer`, `AGAIN` or `BROKEN`. */
export function send(fd: number, buffer: Buffer, length: number): number {
  const result = libc.send(fd, buffer, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (result >= 0) return result;
  return errno() === EAGAIN ? AGAIN : BROKEN;
}

export function close(fd: number): void {
  libc.close(fd);
}

export const READABLE = 0x1;
export const WRITABLE = 0x4;

const EPOLL_ADD = 1;
const EPOLL_REMOVE = 2;
const EPOLL_MODIFY = 3;
/** `struct epoll_event` is packed on x86-64 and aligned elsewhere. */
const EVENT_BYTES = process.arch === "x64" ? 12 : 16;
const DATA_OFFSET = EVENT_BYTES - 8;
const EVENTS_MAX = 512;

/** Which sockets are ready, by descriptor. */
export class Epoll {
  readonly #fd: number;
  readonly #events = Buffer.alloc(EVENTS_MAX * EVENT_BYTES);
  readonly #one = Buffer.alloc(EVENT_BYTES);

  constructor() {
    this.#fd = must("epoll_create1", libc.epoll_create1(0));
  }

  add(fd: number): void {
    must("epoll_ctl", this.#control(EPOLL_ADD, fd, READABLE));
  }

  change(fd: number, events: number): void {
    must("epoll_ctl", this.#control(EPOLL_MODIFY, fd, events));
  }

  remove(fd: number): void {
    this.#control(EPOLL_REMOVE, fd, 0);
  }

  /** @returns how many are ready, at once if 0 milliseconds are to be waited; `fdAt` and `eventsAt` tell which and how. */
  poll(timeoutMs: number): number {
    const ready = libc.epoll_wait(this.#fd, this.#events, EVENTS_MAX, timeoutMs);
    if (ready < 0 && errno() === EINTR) return 0;
    return must("epoll_wait", ready);
  }

  fdAt(index: number): number {
    return this.#events.readInt32LE(index * EVENT_BYTES + DATA_OFFSET);
  }

  eventsAt(index: number): number {
    return this.#events.readInt32LE(index * EVENT_BYTES);
  }

  #control(operation: number, fd: number, events: number): number {
    this.#one.writeUInt32LE(events, 0);
    this.#one.writeInt32LE(fd, DATA_OFFSET);
    return libc.epoll_ctl(this.#fd, operation, fd, this.#one);
  }
}
