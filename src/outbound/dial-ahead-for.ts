import type { PeekOptions } from "../detect/peek.ts";
import { countEvent } from "../metrics/count-event.ts";
import { parentLabels, withFirst } from "../metrics/labels.ts";
import type { Meta } from "../policy/meta.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { OutboundContext } from "./context.ts";
import { DialAhead } from "./dial-ahead.ts";
import type { TcpRoute } from "./tcp-route.ts";
import { formatTarget, type Target } from "./target.ts";

/**
 * Prepares to dial ahead for a connection whose protocol is to be detected, unless that is switched off or the client has
 * spoken already. Whoever gets one calls `drop` when it is not needed any more.
 *
 * Only detection asks for it. Where a policy says what a port speaks there is nothing to find out; a TLS route cannot be
 * chosen before the client has named it; and a route that forbids is never dialled.
 *
 * @param parent what the outcome is counted under.
 * @param route the opaque route at the time of dialling.
 */
export function dialAheadFor(
  context: OutboundContext,
  transport: SocketTransport,
  target: Target,
  parent: Meta,
  route: () => Promise<TcpRoute | undefined>,
): DialAhead | undefined {
  const { clock, dialsAhead: limit, families, log } = context;
  const { dialAheadAfterMs: afterMs } = context.options;
  if (afterMs === undefined || transport.bytesRead > 0) return undefined;
  return new DialAhead({
    clock,
    afterMs,
    limit,
    isSilent: () => transport.bytesRead === 0,
    route,
    onOutcome: (outcome, error) => {
      const labels = withFirst("outcome", outcome, parentLabels(parent));
      countEvent(families.outriggerOutboundDialAheadTotal, labels);
      log.debug("Dialled ahead of a silent client", {
        target: formatTarget(target),
        outcome,
        ...(error === undefined ? {} : { error: error.message }),
      });
    },
  });
}

/** Makes a detection end when the server has spoken. */
export function speaksFirst(ahead: DialAhead | undefined): PeekOptions {
  return ahead === undefined ? {} : { signal: ahead.serverSpoke };
}
