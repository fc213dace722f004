import { detectTls } from "../../detect/detect-tls.ts";
import { ProxyError } from "../../errors/proxy-error.ts";
import type { SocketTransport } from "../../transport/socket-transport.ts";
import type { OutboundContext } from "../context.ts";
import { forwardRouted } from "../forward-routed.ts";
import type { TlsStack } from "./tls-stack.ts";

/**
 * Routes a connection by the server name in its ClientHello and forwards it as it is, ClientHello included. One without
 * a name, or without a route for it, is closed: there is no way to say more.
 *
 * @param early bytes that the application sent already.
 * @throws ProxyError why the connection is to be closed.
 *
 * Source: linkerd2-proxy, linkerd/tls/src/server/required_sni.rs.
 */
export async function serveTls(
  context: OutboundContext,
  stack: TlsStack,
  transport: SocketTransport,
  early: Buffer,
): Promise<void> {
  const { clock, options } = context;
  const found = await detectTls(transport, clock, options.detectTimeoutMs, { initial: early });
  switch (found.kind) {
    case "sni":
      return forwardRouted(context, stack.route(found.name), transport, found.prefix);
    case "none":
      throw new ProxyError("bad_message", "Could not find SNI", { side: "downstream" });
    case "timeout":
      throw new ProxyError("tls_detect_timeout", "SNI detection timed out", { side: "downstream" });
    case "closed":
      throw found.error ?? new ProxyError("canceled", "closed by the application before it said anything");
    default:
      return found satisfies never;
  }
}
