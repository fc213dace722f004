import type { Socket } from "node:net";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { formatSocketAddr } from "../addr/socket-addr.ts";
import { detectTls } from "../detect/detect-tls.ts";
import { errorFromNode } from "../errors/from-node.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { H2Server } from "../http/server/h2.ts";
import { idEquals, type Id } from "../identity/id.ts";
import type { Log } from "../log/log.ts";
import { countEvent } from "../metrics/count-event.ts";
import type { Families } from "../metrics/families.ts";
import { tlsFailureLabels, tlsHandshakeLabels } from "../metrics/labels.ts";
import { Tap } from "../proto/gen/tap_pb.js";
import { addGrpcService } from "../proto/grpc-service.ts";
import type { TapRegistry } from "../tap/registry.ts";
import type { Clock } from "../time/clock.ts";
import type { Credentials } from "../tls/credentials.ts";
import { HandshakeError } from "../tls/handshake-error.ts";
import type { Terminator } from "../tls/terminate.ts";
import type { AcceptedSocket } from "../transport/listen.ts";
import { replay } from "../transport/replay.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { Watch } from "../watch/watch.ts";
import { serveObserve } from "./tap-observe.ts";
import { TapRefusal } from "./tap-refusal.ts";

/** How long a client may take to show whether it speaks TLS. Source: linkerd2-proxy, linkerd/app/src/tap.rs. */
const DETECT_TIMEOUT_MS = 1_000;
/** LIM-22: from accept to the end of the handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Clients that may not tap are told so, and then have no reason to stay. */
const REFUSED_LIFETIME_MS = 10_000;
/** Connections of such clients at a time; the oldest gives way. */
const REFUSED_MAX = 64;
/** Connections at a time that may tap, or are not known yet. */
const CONNECTIONS_MAX = 256;
/** An observer asks in a few hundred bytes. */
const REQUEST_MAX_BYTES = 16 * 1024;
/** Finds out that an observer is gone though its connection is not. */
const KEEPALIVE_MS = 60_000;
/** HTTP/2 streams of one observer; those above the number of taps are refused by name. */
const STREAMS_MAX = 256;

export interface TapServerOptions {
  readonly taps: TapRegistry;
  /** The only client that may tap. */
  readonly permitted: Id;
  readonly credentials: Watch<Credentials>;
  /** One of its own: handshakes at this port must not crowd out those of the mesh. */
  readonly terminator: Terminator;
  readonly clock: Clock;
  readonly families: Families;
  readonly log: Log;
}

/** What a connection turned out to be. */
type Admission =
  | { readonly kind: "admitted"; readonly socket: Socket }
  | {
      readonly kind: "refused";
      readonly reason: string;
      readonly transport: SocketTransport;
      readonly prefix: Buffer;
    };

/**
 * The tap API. Only a mesh client with the one identity that was configured gets to it; everybody else, in TLS or not,
 * meets a server of our own that answers each call with UNAUTHENTICATED.
 *
 * Source: linkerd2-proxy, linkerd/app/src/tap.rs, linkerd/proxy/tap/src/accept.rs.
 */
export class TapServer {
  readonly #options: TapServerOptions;
  readonly #server: Server;
  readonly #inject: (socket: Socket) => void;
  readonly #sockets = new Set<Socket>();
  readonly #refused = new Set<SocketTransport>();

  constructor(options: TapServerOptions) {
    const { taps, log } = options;
    this.#options = options;
    this.#server = new Server({
      "grpc.max_receive_message_length": REQUEST_MAX_BYTES,
      "grpc.max_concurrent_streams": STREAMS_MAX,
      "grpc.keepalive_time_ms": KEEPALIVE_MS,
      "grpc.enable_channelz": 0,
    });
    addGrpcService(this.#server, Tap, { observe: (call) => serveObserve(taps, log, call) });
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#inject = (socket) => injector.injectConnection(socket);
  }

  /** Takes in a connection; never rejects. */
  async accept(accepted: AcceptedSocket): Promise<void> {
    if (this.#sockets.size >= CONNECTIONS_MAX) {
      accepted.reset();
      return;
    }
    const { socket } = accepted;
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    try {
      const admission = await this.#admit(accepted);
      if (admission.kind === "admitted") this.#inject(asHttp2(admission.socket));
      else this.#refuse(admission.transport, admission.prefix, admission.reason);
    } catch (thrown) {
      accepted.destroy();
      this.#options.log.debug("Connection closed", {
        "client.addr": formatSocketAddr(accepted.peerAddr),
        error: errorFromNode(thrown, "tap connection").message,
      });
    }
  }

  /** Ends all taps and connections. */
  close(): void {
    this.#server.forceShutdown();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #admit(accepted: AcceptedSocket): Promise<Admission> {
    const { clock, credentials, terminator, permitted, families } = this.#options;
    const raw = accepted.transport();
    const deadlineMs = clock.nowMs() + HANDSHAKE_TIMEOUT_MS;
    const found = await detectTls(raw, clock, DETECT_TIMEOUT_MS);
    switch (found.kind) {
      case "closed":
        throw found.error ?? new ProxyError("io", "closed by the client before it said anything");
      case "timeout":
        throw new ProxyError("tls_detect_timeout", `neither TLS nor clear text in ${DETECT_TIMEOUT_MS}ms`);
      case "none":
        return { kind: "refused", reason: "no_tls_from_remote", transport: raw, prefix: found.prefix };
      case "sni": {
        if (found.name !== credentials.value.serverName) {
          throw new ProxyError("io", `TLS for ${found.name}, which is somebody else`);
        }
        const socket = raw.releaseSocket(found.prefix);
        const ended = await terminator.terminate(socket, "ordinary", deadlineMs).catch((error: unknown) => {
          if (error instanceof HandshakeError) {
            const failures = families.outriggerTlsHandshakeFailuresTotal;
            countEvent(failures, tlsFailureLabels("inbound", error.fault));
          }
          throw error;
        });
        countEvent(families.outriggerTlsHandshakesTotal, tlsHandshakeLabels("inbound", "", ended.version));
        const { transport, clientId } = ended;
        if (clientId !== undefined && idEquals(clientId, permitted)) {
          return { kind: "admitted", socket: transport.releaseSocket(NOTHING) };
        }
        return { kind: "refused", reason: "Unauthorized client", transport, prefix: NOTHING };
      }
      default:
        return found satisfies never;
    }
  }

  /** Strangers never reach the gRPC server: they talk to the HTTP/2 server that all strangers talk to. */
  #refuse(transport: SocketTransport, prefix: Buffer, reason: string): void {
    const { clock, log } = this.#options;
    log.debug("Refused a client", { "client.addr": formatSocketAddr(transport.peerAddr), reason });
    const [oldest] = this.#refused;
    if (this.#refused.size >= REFUSED_MAX) oldest?.destroy();
    this.#refused.add(transport);
    const end = clock.after(REFUSED_LIFETIME_MS, () => transport.destroy());
    const onClose = (): void => {
      end.cancel();
      this.#refused.delete(transport);
    };
    replay(transport, new H2Server(transport, new TapRefusal(reason), { clock, onClose }), prefix);
  }
}

/** Makes a socket that we have handled one that Node's HTTP/2 server can. */
function asHttp2(socket: Socket): Socket {
  // Proxies offer no ALPN and mean HTTP/2 all the same; the server would take them for HTTP/1.
  Object.defineProperty(socket, "alpnProtocol", { value: "h2" });
  // Nobody there would end the other half: a client that finished writing would stay until a ping is missed.
  socket.allowHalfOpen = false;
  return socket;
}

const NOTHING = Buffer.alloc(0);
