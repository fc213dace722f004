import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { after } from "node:test";
import { connect as tlsConnect, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { transportOf, type SocketTransport } from "../../src/transport/socket-transport.ts";
import { TestCa } from "../support/certs.ts";

/** What the transport under test sits on. */
export type Kind = "an accepted TCP socket" | "the server side of TLS" | "the client side of TLS";
export const KINDS: readonly Kind[] = [
  "an accepted TCP socket",
  "the server side of TLS",
  "the client side of TLS",
];

export interface Loopback {
  readonly transport: SocketTransport;
  /** The other end: a plain Node socket that nobody listens to yet. */
  readonly peer: Socket;
}

const ca = TestCa.create();
const leaf = ca.issue({ id: "test.example.com" });
export const serverTls = { key: leaf.keyPem, cert: leaf.chainPem };
export const clientTls = { ca: ca.certPem, servername: "test.example.com" };

const open = new Set<Socket>();
const servers = new Set<Server>();
after(async () => {
  for (const server of servers) server.close();
  for (const socket of open) {
    if (socket.closed) continue;
    socket.on("error", () => {});
    socket.destroy();
    await once(socket, "close");
  }
});

/** Remembers a socket for the teardown. */
export function track<S extends Socket>(socket: S): S {
  open.add(socket);
  return socket;
}

/** Listens on a free port of the loopback; closed after the file's tests. */
export async function serve(server: Server): Promise<number> {
  servers.add(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A TCP server's address is never a string.
  return (server.address() as AddressInfo).port;
}

/**
 * Waits for a round trip on a connection of its own: whatever the kernel had for this process before it has been
 * delivered by then.
 */
export async function roundTrip(): Promise<void> {
  const { accepted, dialled } = await socketPair();
  accepted.pipe(accepted);
  dialled.write("x");
  await once(dialled, "data");
  accepted.destroy();
  dialled.destroy();
}

/** A raw pair: the accepted end unread and paused. */
export async function socketPair(): Promise<{ accepted: Socket; dialled: Socket }> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
  const port = await serve(server);
  const accepted = once(server, "connection");
  const dialled = track(connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true }));
  await once(dialled, "connect");
  // The listener's argument, by Node's documentation.
  const [socket] = (await accepted) as [Socket];
  server.close();
  return { accepted: track(socket), dialled };
}

export async function loopback(kind: Kind): Promise<Loopback> {
  const { accepted, dialled } = await socketPair();
  if (kind === "an accepted TCP socket") return { transport: transportOf(accepted), peer: dialled };
  const tlsServer = createTlsServer({ ...serverTls, allowHalfOpen: true });
  const secured = once(tlsServer, "secureConnection");
  tlsServer.emit("connection", accepted);
  const client = track(tlsConnect({ ...clientTls, socket: dialled }));
  await once(client, "secureConnect");
  // The listener's argument, by Node's documentation.
  const [server] = (await secured) as [TLSSocket];
  track(server);
  return kind === "the server side of TLS"
    ? { transport: transportOf(server), peer: client }
    : { transport: transportOf(client), peer: server };
}
