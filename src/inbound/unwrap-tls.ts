import { detectTls } from "../detect/detect-tls.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { countEvent } from "../metrics/count-event.ts";
import { tlsHandshakeLabels } from "../metrics/labels.ts";
import type { ServerTls } from "../tls/status.ts";
import type { AcceptedSocket } from "../transport/listen.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { InboundContext } from "./context.ts";

/** A connection with its TLS decided: bytes in the clear from here on. */
export interface Unwrapped {
  readonly transport: SocketTransport;
  readonly tls: ServerTls;
  /** Read already, still to be interpreted. */
  readonly prefix: Buffer;
}

/** Looks for mesh TLS that is meant for us, and ends it. TLS for somebody else passes through as it is. */
export async function unwrapTls(
  context: InboundContext,
  accepted: AcceptedSocket,
  path: "ordinary" | "direct",
): Promise<Unwrapped> {
  const { clock, options, credentials, terminator, families } = context;
  const raw = accepted.transport();
  const found = await detectTls(raw, clock, options.detectTimeoutMs);
  switch (found.kind) {
    case "closed":
      throw found.error ?? new ProxyError("io", "closed by the client before it said anything");
    case "timeout":
      throw new ProxyError(
        "tls_detect_timeout",
        `nothing told TLS from clear text in ${options.detectTimeoutMs}ms`,
      );
    case "none":
      return { transport: raw, tls: { kind: "none", reason: "no_tls_from_remote" }, prefix: found.prefix };
    case "sni": {
      if (found.name !== credentials.value.serverName) {
        return { transport: raw, tls: { kind: "passthru", sni: found.name }, prefix: found.prefix };
      }
      const ended = await terminator.terminate(raw.releaseSocket(found.prefix), path);
      countEvent(families.outriggerTlsHandshakesTotal, tlsHandshakeLabels("inbound", "", ended.version));
      const tls: ServerTls = { kind: "established", clientId: ended.clientId, alpn: ended.alpn };
      return { transport: ended.transport, tls, prefix: NOTHING };
    }
    default:
      return found satisfies never;
  }
}

const NOTHING = Buffer.alloc(0);
