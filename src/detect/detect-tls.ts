import type { DnsName } from "../addr/dns-name.ts";
import type { ProxyError } from "../errors/proxy-error.ts";
import { assertNever } from "../parsed.ts";
import type { Clock } from "../time/clock.ts";
import type { Transport } from "../transport/transport.ts";
import { parseClientHello } from "../wire/client-hello.ts";
import { readPrefix, type PeekOptions } from "./peek.ts";

/** What a connection begins with. Unless it is `closed`, the transport is paused and `prefix` goes to the next driver. */
export type TlsDetection =
  | {
      readonly kind: "sni";
      readonly name: DnsName;
      readonly alpn: readonly string[];
      readonly prefix: Buffer;
    }
  /** Not TLS, or TLS that names nobody: handled alike, as bytes of the application. */
  | { readonly kind: "none"; readonly prefix: Buffer }
  /** Too little came in time to tell; on inbound ports this closes the connection. */
  | { readonly kind: "timeout"; readonly prefix: Buffer }
  | { readonly kind: "closed"; readonly error: ProxyError | undefined };

/**
 * Looks for a TLS ClientHello.
 *
 * @param options `initial`: bytes that were read while the target was looked up.
 *
 * Source: linkerd2-proxy, linkerd/tls/src/server.rs.
 */
export async function detectTls(
  transport: Transport,
  clock: Clock,
  timeoutMs: number,
  options: PeekOptions = {},
): Promise<TlsDetection> {
  const read = await readPrefix(transport, clock, timeoutMs, parseClientHello, options);
  switch (read.kind) {
    case "decided": {
      const { value, prefix } = read;
      if (value.kind === "sni") return { kind: "sni", name: value.name, alpn: value.alpn, prefix };
      return { kind: "none", prefix };
    }
    case "timeout":
      return { kind: "timeout", prefix: read.prefix };
    case "ended":
    case "stopped":
      return { kind: "none", prefix: read.prefix };
    case "closed":
      return { kind: "closed", error: read.error };
    default:
      return assertNever(read);
  }
}
