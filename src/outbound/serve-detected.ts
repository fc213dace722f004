import type { HttpDetection } from "../detect/detect-http.ts";
import { countEvent, observeEvent } from "../metrics/count-event.ts";
import { DETECT_HTTP_RESULTS, parentLabels, withFirst } from "../metrics/labels.ts";
import type { Meta } from "../policy/meta.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { OutboundContext } from "./context.ts";
import type { DialAhead } from "./dial-ahead.ts";
import type { Discovered } from "./discover.ts";
import { forwardRouted } from "./forward-routed.ts";
import type { TargetStack } from "./target-stack.ts";
import { formatTarget, type Target } from "./target.ts";

/** Forwards a connection whose bytes are not interpreted. */
export function serveOpaque(
  context: OutboundContext,
  stack: TargetStack,
  discovered: Discovered,
  transport: SocketTransport,
  prefix: Buffer,
  ahead?: DialAhead,
): Promise<void> {
  return forwardRouted(context, stack.opaque(discovered).route(), transport, prefix, ahead);
}

/** Counts what a detection found and how long it took; one that ran out of time is worth a line. */
export function countDetection(
  { clock, families, log, options }: OutboundContext,
  parentMeta: Meta,
  target: Target,
  result: HttpDetection["kind"],
  startedAtMs: number,
): void {
  const parent = parentLabels(parentMeta);
  const seconds = (clock.nowMs() - startedAtMs) / 1000;
  observeEvent(families.outboundTcpDetectHttpDurationSeconds, parent, seconds);
  countEvent(
    families.outboundTcpDetectHttpResultsTotal,
    withFirst("result", DETECT_HTTP_RESULTS[result], parent),
  );
  if (result !== "timeout") return;
  log.info(`Continuing after timeout: nobody spoke for ${options.detectTimeoutMs / 1000}s`, {
    target: formatTarget(target),
    remedy: `name port ${portOf(target)} in config.linkerd.io/opaque-ports if it does not carry HTTP`,
  });
}

function portOf(target: Target): number {
  return target.kind === "addr" ? target.addr.port : target.name.port;
}
