import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { isLoopback, parseIp, type Ip } from "../../addr/ip.ts";
import { formatSocketAddr, type SocketAddr } from "../../addr/socket-addr.ts";
import type { Log } from "../../log/log.ts";
import type { Clock } from "../../time/clock.ts";
import type { ServerCertificates } from "./server-certificates.ts";

/** The first byte of a TLS handshake record (RFC 8446, section 5.1). */
const TLS_HANDSHAKE = 0x16;

/** How long a new connection may stay silent, and how long its handshake may take. */
const FIRST_BYTES_TIMEOUT_MS = 10_000;

/** Connections of one listener at a time: a guard against floods, far above the proxies of a mesh. */
const CONNECTIONS_MAX = 10_000;

export interface FrontOptions {
  readonly certificates: ServerCertificates;
  /** Gets each connection after its TLS has been taken off. */
  readonly onConnection: (connection: Socket) => void;
  /** Which clients may do without TLS; default: those on this machine. */
  readonly admitsClearText?: (client: Ip) => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Accepts connections and tells by their first byte whether they are TLS or clear text, so that one port serves both: the
 * mesh's proxies speak clear text to a control plane on their own machine and TLS to every other.
 *
 * Clear text from another machine is refused, since tokens would travel in it.
 */
export class FrontListener {
  readonly addr: SocketAddr;
  /** Resolves when nothing is accepted any more and the last connection has ended. */
  readonly drained: Promise<void>;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(addr: SocketAddr, server: Server, sockets: Set<Socket>) {
    this.addr = addr;
    this.#server = server;
    this.drained = new Promise((resolve) => server.once("close", resolve));
    this.#sockets = sockets;
  }

  /** @throws if the address cannot be bound. */
  static async listen(addr: SocketAddr, options: FrontOptions): Promise<FrontListener> {
    const { certificates, onConnection, admitsClearText = isLoopback, clock, log } = options;
    const sockets = new Set<Socket>();
    const tls = createTlsServer({
      SNICallback: (name, done) => {
        try {
          done(null, certificates.contextFor(name));
        } catch (error) {
          done(error instanceof Error ? error : new Error(String(error)));
        }
      },
      ALPNProtocols: ["h2"],
      minVersion: "TLSv1.3",
      handshakeTimeout: FIRST_BYTES_TIMEOUT_MS,
    });
    tls.on("secureConnection", (socket) => onConnection(asHttp2(socket)));
    tls.on("tlsClientError", (error, socket) => {
      log.debug(`TLS handshake failed: ${error.message}`, { client: socket.remoteAddress });
      socket.destroy();
    });
    const server = createServer({ noDelay: true }, (socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      // A connection that breaks is an ordinary event; whoever reads it learns by the end.
      socket.on("error", (error) => log.debug(`connection failed: ${error.message}`));
      const silence = clock.after(FIRST_BYTES_TIMEOUT_MS, () => socket.destroy());
      socket.once("close", () => silence.cancel());
      socket.once("readable", () => {
        silence.cancel();
        const first: unknown = socket.read();
        if (!Buffer.isBuffer(first)) return void socket.destroy();
        socket.unshift(first);
        if (first[0] === TLS_HANDSHAKE) return void tls.emit("connection", socket);
        const peer = parseIp(socket.remoteAddress ?? "");
        if (peer.ok && admitsClearText(peer.value)) return onConnection(socket);
        log.warn("Refused clear text from another machine: use TLS", { client: socket.remoteAddress });
        socket.destroy();
      });
    });
    server.maxConnections = CONNECTIONS_MAX;
    server.listen({ host: addr.ip.text, port: addr.port, ipv6Only: addr.ip.version === 6 });
    try {
      await once(server, "listening");
    } catch (error) {
      throw new Error(`cannot listen on ${formatSocketAddr(addr)}: ${String(error)}`, { cause: error });
    }
    // A TCP server that listens has an address with a port.
    const { port } = server.address() as AddressInfo;
    return new FrontListener({ ip: addr.ip, port }, server, sockets);
  }

  /** Accepts no more. */
  stopAccepting(): void {
    if (this.#server.listening) this.#server.close();
  }

  /** Ends whatever is still connected. */
  async close(): Promise<void> {
    this.stopAccepting();
    for (const socket of this.#sockets) socket.destroy();
    await this.drained;
  }
}

/** Proxies offer no ALPN and mean HTTP/2 all the same; Node's HTTP/2 server would take them for HTTP/1. */
function asHttp2(socket: TLSSocket): TLSSocket {
  if (socket.alpnProtocol !== "h2") Object.defineProperty(socket, "alpnProtocol", { value: "h2" });
  return socket;
}
