import { errorFromNode } from "../errors/from-node.ts";
import type { Drain } from "../stack/drain.ts";
import { forward } from "../transport/forward.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import { whenClosed } from "../transport/when-closed.ts";
import type { DialAhead } from "./dial-ahead.ts";
import type { RoutedConnection } from "./tcp-route.ts";

/**
 * Copies bytes both ways between an application and a server of its route; the application learns of a failure to connect
 * only by its connection closing. Drains wait for it.
 *
 * @param prefix bytes of the application that were read already.
 * @param ahead asked first: it may have dialled before the application said anything.
 * @throws ProxyError if no server was reached.
 *
 * Source: linkerd2-proxy, linkerd/proxy/tcp/src/forward.rs.
 */
export async function forwardRouted(
  { drain }: { readonly drain: Drain },
  { route, metrics }: RoutedConnection,
  transport: SocketTransport,
  prefix: Buffer,
  ahead?: DialAhead,
): Promise<void> {
  const gone = new AbortController();
  whenClosed(transport.socket, () => {
    gone.abort();
    ahead?.drop();
  });
  metrics.opened();
  try {
    const dialled = await ahead?.take(route);
    const server = dialled?.server ?? (await route.connect(gone.signal));
    const leave = drain.join(() => {});
    forward(
      transport,
      server,
      prefix,
      (end) => {
        leave();
        metrics.ended(end);
      },
      dialled?.greeting,
    );
  } catch (thrown) {
    const error = errorFromNode(thrown, "connect");
    metrics.closed(error);
    throw error;
  }
}
