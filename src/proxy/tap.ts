import type { Config, TapConfig } from "../config/config.ts";
import { TapServer } from "../control/tap-server.ts";
import { Terminator } from "../tls/terminate.ts";
import { listen, type Listener } from "../transport/listen.ts";
import { accepting } from "./options.ts";
import type { ProxyShared } from "./shared.ts";

/** The tap server and its port. */
export interface TapSide {
  readonly listener: Listener;
  /** Ends taps under way; they run on while the proxy drains. */
  readonly close: () => void;
}

/** Takes the tap port and serves it at once: without a certificate nobody is let in. */
export async function listenTap(config: Config, tap: TapConfig, shared: ProxyShared): Promise<TapSide> {
  const { taps, credentials, pacer, clock, families, logging } = shared;
  if (taps === undefined) throw new Error("a tap server needs taps");
  const log = logging.log.target("linkerd_proxy_tap").span("tap");
  const server = new TapServer({
    taps,
    permitted: tap.service,
    credentials,
    terminator: new Terminator({ credentials, pacer, clock }),
    clock,
    families,
    log,
  });
  const listener = await listen([tap.listen], {
    ...accepting(config.inbound),
    acceptNow: true,
    onError: (error) => log.warn("Failed to accept", { error: error.message }),
    onConnection: (accepted) => void server.accept(accepted),
  });
  return { listener, close: () => server.close() };
}
