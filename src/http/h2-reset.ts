/** Errors of ours as HTTP/2 codes, and the other way round. */
import { ProxyError } from "../errors/proxy-error.ts";
import { H2Code, h2CodeName } from "../wire/http2/error-code.ts";

/** Which of the two connections of an exchange is meant. */
export type Side = "downstream" | "upstream";

/**
 * The code of the RST_STREAM that passes an error on.
 *
 * A peer's own code travels unchanged, so that a chain of proxies is transparent (linkerd2-proxy test
 * `http2_rst_stream_is_propagated`). A stream that a GOAWAY left behind was never processed, which REFUSED_STREAM says.
 */
export function h2CodeOf(error: ProxyError): number {
  switch (error.code) {
    case "canceled":
      return H2Code.cancel;
    case "h2_reset":
      return error.detail.h2Code ?? H2Code.internalError;
    case "h2_goaway":
      return H2Code.refusedStream;
    default:
      return H2Code.internalError;
  }
}

/** What a RST_STREAM from the peer on `side` means to the exchange. */
export function resetError(code: number, side: Side): ProxyError {
  if (side === "downstream" && code === H2Code.cancel) {
    return new ProxyError("canceled", "client canceled the request", { h2Code: code, side });
  }
  return new ProxyError("h2_reset", `stream reset by ${peerName(side)}: ${h2CodeName(code)}`, {
    h2Code: code,
    side,
  });
}

export function peerName(side: Side): string {
  return side === "downstream" ? "client" : "server";
}
