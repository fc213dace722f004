import { formatSocketAddr } from "../addr/socket-addr.ts";
import type { Config, ForwardConfig, LogConfig, TapConfig } from "./config.ts";
import { VARIABLES, WITHOUT_EFFECT } from "./env-names.ts";
import { loadControl } from "./load-control.ts";
import { loadIdentity } from "./load-identity.ts";
import { loadTrace } from "./load-trace.ts";
import { loadHttp2Client, loadInbound, loadOutbound } from "./load-sides.ts";
import { Reader, type Files, type Strings } from "./reader.ts";

/** The outcome of loading: a configuration, or every problem there is, each a sentence that names its variable. */
export type Loaded =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly string[] };

/**
 * Reads the whole configuration and reports every problem at once.
 *
 * Source: linkerd2-proxy, linkerd/app/src/env.rs.
 */
export function load(strings: Strings, files: Files): Loaded {
  const r = new Reader(strings);
  const warnings: string[] = [];
  const http2Client = loadHttp2Client(r);
  const inbound = loadInbound(r, http2Client, warnings);
  const outbound = loadOutbound(r, http2Client);
  const control = loadControl(r);
  const identity = loadIdentity(r, files, warnings);
  const config = {
    inbound,
    outbound,
    admin: {
      listen: r.value(VARIABLES.adminListenAddr),
      shutdownEndpoint: r.value(VARIABLES.shutdownEndpoint),
    },
    tap: loadTap(r),
    log: loadLogConfig(strings),
    shutdown: { gracePeriodMs: r.value(VARIABLES.shutdownGracePeriod) },
    metrics: { retainIdleMs: r.value(VARIABLES.metricsRetainIdle) },
    trace: loadTrace(r),
    forwards: loadForwards(r),
    origDst: r.value(VARIABLES.origDst),
    debugBuffers: r.value(VARIABLES.debugBuffers),
  };
  if (config.debugBuffers) {
    warnings.push(`${VARIABLES.debugBuffers.name} is set: freed buffers are overwritten, which costs speed`);
  }
  for (const [name, why] of WITHOUT_EFFECT) {
    if ((strings(name) ?? "") !== "") warnings.push(`${name} is set, but ${why}`);
  }
  // A missing part always comes with a problem that says what it lacks.
  if (r.problems.length > 0 || control === undefined || identity === undefined) {
    return { ok: false, problems: r.problems };
  }
  return { ok: true, config: { ...config, control, identity, warnings } };
}

/**
 * How to log. Lenient: it has an answer for every text, so that problems with everything else can be logged.
 * `off` as a whole means no logging at all.
 */
export function loadLogConfig(strings: Strings): LogConfig {
  const r = new Reader(strings);
  const filter = r.value(VARIABLES.log);
  const format = r.value(VARIABLES.logFormat).trim().toLowerCase();
  return {
    filter: filter.trim().toLowerCase() === "off" ? undefined : filter,
    format: format === "json" ? "json" : "plain",
  };
}

/** The address is looked at even where there is no tap server: what cannot be read is wrong in any case. */
function loadTap(r: Reader): TapConfig | undefined {
  const listen = r.value(VARIABLES.tapListenAddr);
  const service = r.optional(VARIABLES.tapServiceName);
  return service === undefined ? undefined : { listen, service };
}

function loadForwards(r: Reader): readonly ForwardConfig[] {
  const forwards = r.value(VARIABLES.forward);
  const seen = new Set<string>();
  for (const { listen } of forwards) {
    const text = formatSocketAddr(listen);
    // Port 0 asks the system for a free one, as often as one likes.
    if (listen.port !== 0 && seen.has(text)) {
      r.invalid(VARIABLES.forward, `${text} is listed twice`, "each listening address once");
    }
    seen.add(text);
  }
  return forwards;
}
