import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { parseIp } from "../addr/ip.ts";
import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { errorFromNode } from "../errors/from-node.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { descriptorOf } from "./libc.ts";
import { socketAddrs } from "./socket-addrs.ts";
import { livenessNeedsNode, setLiveness, type LivenessOptions } from "./socket-options.ts";
import { SocketTransport } from "./socket-transport.ts";

/** Connections that may wait, unread, until a listener begins to accept. More are reset: 1024 is the usual backlog. */
export const HELD_CONNECTIONS = 1024;

/** Pending connections that the kernel keeps, where nothing is configured: Node's own default. */
const DEFAULT_BACKLOG = 511;

/** What a listener is told. */
export interface ListenOptions extends LivenessOptions {
  readonly backlog: number | undefined;
  /** Begin accepting at once instead of with `accept()`. */
  readonly acceptNow?: boolean;
  /** Gets each connection once, nothing of it read. Whoever gets it owns it: makes a transport of it, or closes it. */
  readonly onConnection: (socket: AcceptedSocket) => void;
  /** A connection failed before it got that far, or a socket option was refused. The listener goes on. */
  readonly onError: (error: ProxyError) => void;
}

/** A set of listening sockets that feed one accept stream. */
export interface Listener {
  /** Where it really listens, in the order asked for: port 0 is replaced. */
  readonly addrs: readonly SocketAddr[];
  /** Begins accepting; those that waited come first, in later ticks. */
  accept(): void;
  /** Stops listening at once and drops those that still wait. Accepted connections live on. */
  close(): void;
}

/** A connection that was accepted and not yet read. */
export class AcceptedSocket {
  readonly peerAddr: SocketAddr;
  readonly localAddr: SocketAddr;
  readonly socket: Socket;
  #transport: SocketTransport | undefined = undefined;

  constructor(socket: Socket, peerAddr: SocketAddr, localAddr: SocketAddr) {
    this.socket = socket;
    this.peerAddr = peerAddr;
    this.localAddr = localAddr;
    // Until a transport listens too: an error nobody listens to would end the process.
    socket.on("error", () => {});
  }

  /** The descriptor, for socket options; undefined once the socket is closed. */
  get fd(): number | undefined {
    return descriptorOf(this.socket);
  }

  /** The connection as a transport; the same one at every call. */
  transport(): SocketTransport {
    this.#transport ??= new SocketTransport(this.socket, this.peerAddr, this.localAddr);
    return this.#transport;
  }

  /** Refuses the connection with a TCP RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/**
 * Binds and listens on every address, or on none.
 *
 * The ports are taken at once, so that clients which start before us wait instead of being refused, but connections
 * are handed out only from `accept()` on. Node cannot leave them in the kernel's backlog; until then they are accepted,
 * stay unread and count against `HELD_CONNECTIONS`.
 *
 * An IPv6 wildcard takes IPv4 as well, unless an IPv4 address with the same port is in the list. IPv4-mapped peers
 * appear as IPv4.
 *
 * @throws ProxyError `io` naming the address that could not be bound.
 */
export async function listen(addrs: readonly SocketAddr[], options: ListenOptions): Promise<Listener> {
  const open = new OpenListener(options);
  try {
    for (const addr of addrs) {
      const ipv6Only = addrs.some((other) => other.ip.version === 4 && other.port === addr.port);
      await open.bind(addr, ipv6Only);
    }
  } catch (error) {
    open.close();
    throw error;
  }
  if (options.acceptNow === true) open.accept();
  return open;
}

class OpenListener implements Listener {
  readonly addrs: SocketAddr[] = [];
  readonly #options: ListenOptions;
  readonly #servers: Server[] = [];
  readonly #held = new Set<Socket>();
  #accepting = false;

  constructor(options: ListenOptions) {
    this.#options = options;
  }

  bind(addr: SocketAddr, ipv6Only: boolean): Promise<void> {
    const { backlog, keepAliveMs } = this.#options;
    const server = createServer(
      {
        allowHalfOpen: true,
        pauseOnConnect: true,
        noDelay: true,
        keepAlive: true,
        ...(livenessNeedsNode() && keepAliveMs !== undefined ? { keepAliveInitialDelay: keepAliveMs } : {}),
      },
      (socket) => this.#onSocket(socket),
    );
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      const refused = (error: Error): void =>
        reject(errorFromNode(error, `cannot listen on ${formatSocketAddr(addr)}`));
      server.once("error", refused);
      server.listen(
        {
          host: addr.ip.text,
          port: addr.port,
          backlog: backlog ?? DEFAULT_BACKLOG,
          ipv6Only,
          exclusive: true,
        },
        () => {
          server.off("error", refused);
          server.on("error", (error) => {
            this.#options.onError(errorFromNode(error, `accept on ${formatSocketAddr(addr)}`));
          });
          this.#bound(server);
          resolve();
        },
      );
    });
  }

  accept(): void {
    if (this.#accepting) return;
    this.#accepting = true;
    const held = [...this.#held];
    this.#held.clear();
    for (const socket of held) process.nextTick(() => this.#handOut(socket));
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#held) socket.destroy();
    this.#held.clear();
  }

  #bound(server: Server): void {
    // A TCP server's address is never a string, and not null while it listens.
    const { address, port } = server.address() as AddressInfo;
    const ip = parseIp(address);
    if (!ip.ok) throw new Error(`the runtime reports a listening address that is none: ${ip.problem}`);
    this.addrs.push({ ip: ip.value, port });
    const fd = descriptorOf(server);
    if (fd === undefined) return;
    for (const problem of setLiveness(fd, this.#options))
      this.#options.onError(new ProxyError("io", problem));
  }

  #onSocket(socket: Socket): void {
    if (this.#accepting) {
      this.#handOut(socket);
      return;
    }
    // Replaced by the listeners of whoever gets the socket; errors of a waiting one are seen when it is handed out.
    socket.on("error", () => {});
    if (this.#held.size >= HELD_CONNECTIONS) {
      socket.resetAndDestroy();
      this.#options.onError(
        new ProxyError("io", `more than ${HELD_CONNECTIONS} connections wait to be accepted`),
      );
      return;
    }
    this.#held.add(socket);
    socket.once("close", () => this.#held.delete(socket));
  }

  #handOut(socket: Socket): void {
    const addrs = socketAddrs(socket);
    if (!addrs.ok || socket.destroyed) {
      socket.on("error", () => {});
      socket.destroy();
      this.#options.onError(
        new ProxyError("io", "accept: the peer left before its connection was looked at"),
      );
      return;
    }
    this.#options.onConnection(new AcceptedSocket(socket, addrs.value.peer, addrs.value.local));
  }
}
