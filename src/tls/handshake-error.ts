import { errnoOf } from "../errors/from-node.ts";
import { ProxyError, type ErrorCode, type ErrorDetail } from "../errors/proxy-error.ts";
import type { CertificateFault } from "../identity/verify-chain.ts";

/**
 * Why a handshake failed, as one of a few kinds: label values of `outrigger_tls_handshake_failures_total`.
 *
 * `certificate_*` is about the peer's certificate, `wrong_identity` about a good one of somebody else; `version`, `alpn`
 * and `parameters` (suite, group, signature) about what the two have in common; `alert` is the peer's refusal of us;
 * `protocol` is a peer that does not speak TLS, or not well.
 */
export type HandshakeFault =
  | `certificate_${CertificateFault}`
  | "wrong_identity"
  | "version"
  | "alpn"
  | "parameters"
  | "alert"
  | "protocol"
  | "peer_left"
  | "timeout"
  | "no_own_certificate"
  | "overload"
  | "given_up";

/** A handshake that failed: the connection is closed, and nothing of it was handed on. */
export class HandshakeError extends ProxyError {
  readonly fault: HandshakeFault;
  /** What the peer asked for; undefined where nobody has read it. */
  readonly sni: string | undefined;

  constructor(fault: HandshakeFault, code: ErrorCode, message: string, detail: ErrorDetail, sni?: string) {
    super(code, message, detail);
    this.fault = fault;
    this.sni = sni;
  }

  /** The same error with the name that the client asked for. */
  askedFor(sni: string): HandshakeError {
    return new HandshakeError(this.fault, this.code, this.message, this.detail, sni);
  }
}

/** A failed handshake in words for an operator; the original, whose code the `errno` label shows, is kept as cause. */
export function handshakeError(
  thrown: unknown,
  doing: string,
  side: "downstream" | "upstream",
): HandshakeError {
  if (thrown instanceof HandshakeError) return thrown;
  if (thrown instanceof ProxyError) {
    return new HandshakeError(
      FAULT_OF_CODE[thrown.code] ?? "protocol",
      thrown.code,
      thrown.message,
      thrown.detail,
    );
  }
  return new HandshakeError(faultOf(thrown), "io", `${doing}: ${reasonOf(thrown)}`, { cause: thrown, side });
}

/** The peer closed the connection in the middle of its handshake. */
export class PeerLeft extends Error {}

function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  // OpenSSL's own message is a line of hexadecimal and source files; what it means stands in `reason`.
  if ("reason" in thrown && typeof thrown.reason === "string") return thrown.reason;
  return thrown.message;
}

const FAULT_OF_CODE: Partial<Record<ErrorCode, HandshakeFault>> = {
  loadshed: "overload",
  connect_timeout: "timeout",
  canceled: "given_up",
};

/** OpenSSL tells what it minds by the name of the reason, which Node puts behind `ERR_SSL_`. */
function faultOf(thrown: unknown): HandshakeFault {
  if (thrown instanceof PeerLeft) return "peer_left";
  const code = errnoOf(thrown);
  if (!code.startsWith("ERR_SSL_")) return PEER_LEFT.has(code) ? "peer_left" : "protocol";
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW/.test(code)) return "version";
  if (/APPLICATION_PROTOCOL/.test(code)) return "alpn";
  if (code.includes("_ALERT_")) return "alert";
  return /NO_SHARED|NO_SUITABLE|UNSUPPORTED_SIGNATURE|WRONG_SIGNATURE_TYPE|WRONG_CURVE/.test(code)
    ? "parameters"
    : "protocol";
}

const PEER_LEFT: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED"]);
