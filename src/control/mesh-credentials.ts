import type { Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { CallCredentials, ChannelCredentials } from "@grpc/grpc-js";
import { withoutTrailingDot, type DnsName } from "../addr/dns-name.ts";
import type { Id } from "../identity/id.ts";
import type { Credentials } from "../tls/credentials.ts";
import { handshakeError } from "../tls/handshake-error.ts";
import { checkServerId } from "../tls/peer-certificate.ts";
import type { Watch } from "../watch/watch.ts";

/** TLS towards one control-plane service. */
export interface ControlTls {
  /** What is asked for in SNI, and whom the certificate must name. */
  readonly serverName: DnsName;
  /** Read for every new connection; running streams keep what they were made with. */
  readonly credentials: Watch<Credentials>;
}

/**
 * Mesh TLS for grpc-js: SNI, no ALPN, no resumption, and a peer that is verified before a byte of gRPC. Our own
 * certificate is presented as soon as there is one.
 *
 * Not `ChannelCredentials.createSsl`: that offers ALPN `h2`, which a mesh proxy in front of the control plane does not
 * select, writes `:scheme: https` where the mesh expects `http`, and holds on to the keys it was made with.
 *
 * Source: linkerd2-proxy, linkerd/app/core/src/control.rs.
 */
export class MeshCredentials extends ChannelCredentials {
  readonly #tls: ControlTls;

  constructor(tls: ControlTls) {
    super();
    this.#tls = tls;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector() {
    const callCredentials = CallCredentials.createEmpty();
    return {
      // "secure" would only choose the scheme.
      connect: async (socket: Socket) => ({ socket: await handshake(socket, this.#tls), secure: false }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy: () => {},
    };
  }
}

function handshake(socket: Socket, { serverName, credentials }: ControlTls): Promise<Socket> {
  const name = withoutTrailingDot(serverName);
  const id: Id = { kind: "dns", text: name };
  const { clientContext, roots } = credentials.value;
  return new Promise((resolve, reject) => {
    const fail = (thrown: unknown): void => {
      tls.destroy();
      reject(handshakeError(thrown, `TLS with ${name} failed`, "upstream"));
    };
    const tls = tlsConnect({
      socket,
      secureContext: clientContext,
      servername: name,
      // The mesh's own rules decide below, before grpc-js gets the socket.
      rejectUnauthorized: false,
    });
    const onClose = (): void => fail(new Error("the peer closed the connection"));
    tls.once("error", fail);
    tls.once("close", onClose);
    tls.once("secureConnect", () => {
      try {
        checkServerId(tls, roots, id);
      } catch (error) {
        return fail(error);
      }
      // grpc-js listens from here on.
      tls.removeListener("error", fail);
      tls.removeListener("close", onClose);
      resolve(tls);
    });
  });
}
