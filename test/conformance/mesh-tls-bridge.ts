import { forward } from "../../src/transport/forward.ts";
import { listen } from "../../src/transport/listen.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { socketAddr } from "./inbound-listener.ts";

export interface Bridge {
  readonly port: number;
  close(): void;
}

/**
 * Takes clear text and copies it, byte by byte, over a connection that `dial` makes: for tools that do not speak the
 * mesh's TLS, which asks for a certain name and negotiates no ALPN `h2`.
 *
 * @param prefix goes first on every connection: a transport header.
 */
export async function startBridge(
  dial: () => Promise<Transport>,
  prefix: Buffer = Buffer.alloc(0),
): Promise<Bridge> {
  const listener = await listen([socketAddr("127.0.0.1:0")], {
    backlog: undefined,
    keepAliveMs: undefined,
    userTimeoutMs: undefined,
    acceptNow: true,
    onError: () => {},
    onConnection: (accepted) => {
      dial().then(
        (server) => forward(accepted.transport(), server, prefix, () => {}),
        () => accepted.reset(),
      );
    },
  });
  const [addr] = listener.addrs;
  if (addr === undefined) throw new Error("the bridge has no address");
  return { port: addr.port, close: () => listener.close() };
}
