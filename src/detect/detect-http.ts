import type { ProxyError } from "../errors/proxy-error.ts";
import { assertNever } from "../parsed.ts";
import type { Clock } from "../time/clock.ts";
import type { Transport } from "../transport/transport.ts";
import { detectHttpPreface } from "../wire/http-preface.ts";
import { readPrefix, type PeekOptions } from "./peek.ts";

/** What a connection speaks. Unless it is `closed`, the transport is paused and `prefix` goes to the next driver. */
export type HttpDetection =
  | { readonly kind: "http1" | "http2" | "not_http"; readonly prefix: Buffer }
  /** Too little came in time to tell: opaque, unless the policy says HTTP/1. */
  | { readonly kind: "timeout"; readonly prefix: Buffer }
  /** The caller's signal ended the look. */
  | { readonly kind: "stopped"; readonly prefix: Buffer }
  /** The connection is gone, or its peer finished without having said anything: nothing is left to serve. */
  | { readonly kind: "closed"; readonly error: ProxyError | undefined };

/**
 * Tells HTTP/1 and HTTP/2 from anything else, reading until that is certain (DEV-1).
 *
 * @param options `initial`: the prefix that TLS detection left; `signal`: to stop when the server speaks first.
 *
 * Source: linkerd2-proxy, linkerd/http/detect/src/lib.rs.
 */
export async function detectHttp(
  transport: Transport,
  clock: Clock,
  timeoutMs: number,
  options: PeekOptions = {},
): Promise<HttpDetection> {
  const read = await readPrefix(transport, clock, timeoutMs, detectHttpPreface, options);
  switch (read.kind) {
    case "decided":
      return { kind: read.value, prefix: read.prefix };
    case "timeout":
    case "stopped":
      return { kind: read.kind, prefix: read.prefix };
    case "ended":
      // Bytes that only might have become a request are the application's: a short opaque message and its FIN.
      if (read.prefix.length > 0) return { kind: "not_http", prefix: read.prefix };
      transport.destroy();
      return { kind: "closed", error: undefined };
    case "closed":
      return { kind: "closed", error: read.error };
    default:
      return assertNever(read);
  }
}
