import { detectTls } from "../detect/detect-tls.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { countEvent } from "../metrics/count-event.ts";
import { tlsFailureLabels, tlsHandshakeLabels } from "../metrics/labels.ts";
import { HandshakeError } from "../tls/handshake-error.ts";
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

/**
 * Looks for mesh TLS that is meant for us, and ends it. TLS for somebody else passes through as it is.
 *
 * @param handshakeTimeoutMs from now until the end of the handshake (LIM-22): what the client takes to say hello is
 * missing from the time for the rest.
 */
export async function unwrapTls(
  context: InboundContext,
  accepted: AcceptedSocket,
  path: "ordinary" | "direct",
  handshakeTimeoutMs = context.options.detectTimeoutMs,
): Promise<Unwrapped> {
  const { clock, options, credentials, terminator, families } = context;
  const raw = accepted.transport();
  const deadlineMs = clock.nowMs() + handshakeTimeoutMs;
  const found = await detectTls(raw, clock, options.detectTimeoutMs);
  switch (found.kind) {
    case "closed":
      throw found.error ?? new ProxyError("io", "closed by the client before it said anything");
    case "timeout":
      throw counted(context, detectTimeout(found.prefix.length, options.detectTimeoutMs));
    case "none":
      return { transport: raw, tls: { kind: "none", reason: "no_tls_from_remote" }, prefix: found.prefix };
    case "sni": {
      if (found.name !== credentials.value.serverName) {
        return { transport: raw, tls: { kind: "passthru", sni: found.name }, prefix: found.prefix };
      }
      const socket = raw.releaseSocket(found.prefix);
      const ended = await terminator.terminate(socket, path, deadlineMs).catch((error: unknown) => {
        throw counted(context, error instanceof HandshakeError ? error.askedFor(found.name) : error);
      });
      countEvent(families.outriggerTlsHandshakesTotal, tlsHandshakeLabels("inbound", "", ended.version));
      const tls: ServerTls = { kind: "established", clientId: ended.clientId, alpn: ended.alpn };
      return { transport: ended.transport, tls, prefix: NOTHING };
    }
    default:
      return found satisfies never;
  }
}

/** A client that said nothing did not even try TLS. */
function detectTimeout(bytes: number, timeoutMs: number): ProxyError {
  if (bytes === 0) {
    return new ProxyError("tls_detect_timeout", `nothing told TLS from clear text in ${timeoutMs}ms`);
  }
  const text = `the ClientHello is incomplete after ${timeoutMs}ms: ${bytes} bytes came`;
  return new HandshakeError("timeout", "tls_detect_timeout", text, { side: "downstream" });
}

function counted(context: InboundContext, error: unknown): unknown {
  if (error instanceof HandshakeError) {
    const family = context.families.outriggerTlsHandshakeFailuresTotal;
    countEvent(family, tlsFailureLabels("inbound", error.fault));
  }
  return error;
}

const NOTHING = Buffer.alloc(0);
