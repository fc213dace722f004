/** A mesh client of a proxy's own inbound port: TLS by hand, so that tests may present whatever they like. */
import { connect, type TLSSocket } from "node:tls";
import { encodeTransportHeader, TRANSPORT_HEADER_ALPN } from "../../src/wire/transport-header.ts";

export interface DirectOptions {
  /** The proxy's inbound port on loopback. */
  readonly port: number;
  /** Its server name. */
  readonly serverName: string;
  /** What the client presents: key and certificates as PEM; undefined: nothing. */
  readonly leaf?: { readonly keyPem: string; readonly chainPem: string } | undefined;
  /** The application's port. */
  readonly target: number;
}

/** Connects and shakes hands; rejects when the handshake fails. The server is not verified: that is for tests of clients. */
export function directConnect({ port, serverName, leaf }: Omit<DirectOptions, "target">): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      servername: serverName,
      minVersion: "TLSv1.3",
      ALPNProtocols: [TRANSPORT_HEADER_ALPN],
      rejectUnauthorized: false,
      ...(leaf === undefined ? {} : { key: leaf.keyPem, cert: leaf.chainPem }),
    });
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed before the handshake was done")));
    socket.once("secureConnect", () => resolve(socket));
  });
}

/**
 * One HTTP/1.1 request to the application behind the proxy.
 *
 * @returns all that was answered until the proxy closed; empty if it answered nothing.
 */
export async function directGet(options: DirectOptions): Promise<string> {
  const socket = await directConnect(options).catch(() => undefined);
  if (socket === undefined) return "";
  socket.on("error", () => {});
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => (answer += text));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(encodeTransportHeader({ port: options.target, name: undefined, sessionProtocol: "http1" }));
  socket.write("GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n");
  await closed;
  return answer;
}
