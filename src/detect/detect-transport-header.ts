import { ProxyError } from "../errors/proxy-error.ts";
import type { Clock } from "../time/clock.ts";
import type { Transport } from "../transport/transport.ts";
import { parseTransportHeader, type TransportHeader } from "../wire/transport-header.ts";
import { readPrefix } from "./peek.ts";

/** What the client of a direct connection wants. After `header` the transport is paused and `prefix` holds the application's first bytes. */
export type TransportHeaderDetection =
  | { readonly kind: "header"; readonly header: TransportHeader; readonly prefix: Buffer }
  /** No valid header came in time: the connection has been destroyed with this error. */
  | { readonly kind: "failed"; readonly error: ProxyError };

/**
 * Reads the transport header of a direct connection; whatever is not one ends the connection (DT-04, DT-07).
 *
 * Source: linkerd2-proxy, linkerd/transport-header/src/server.rs.
 */
export async function detectTransportHeader(
  transport: Transport,
  clock: Clock,
  timeoutMs: number,
): Promise<TransportHeaderDetection> {
  const read = await readPrefix(transport, clock, timeoutMs, parseTransportHeader);
  if (read.kind === "decided" && read.value.kind === "header") {
    const { header, length } = read.value;
    return { kind: "header", header, prefix: read.prefix.subarray(length) };
  }
  const error =
    read.kind === "decided"
      ? new ProxyError("bad_message", read.value.kind === "invalid" ? read.value.problem : "", {
          side: "downstream",
        })
      : read.kind === "closed" && read.error !== undefined
        ? read.error
        : new ProxyError(
            "bad_message",
            read.kind === "timeout"
              ? `no transport header within ${timeoutMs}ms`
              : "the peer closed before its transport header was complete",
            { side: "downstream" },
          );
  transport.destroy(error);
  return { kind: "failed", error };
}
