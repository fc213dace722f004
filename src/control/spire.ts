import type { Id } from "../identity/id.ts";
import { chooseSvid, type Svid } from "../identity/svid.ts";
import type { Log } from "../log/log.ts";
import type { Parsed } from "../parsed.ts";
import type { X509SVIDResponse } from "../proto/gen/spiffe_workload_pb.js";
import type { BackoffParams } from "../time/backoff.ts";
import type { Clock } from "../time/clock.ts";
import { Code, type CallStatus, type IsFatal, type OpenStream } from "./stream.ts";
import { runWatchStream } from "./watch-stream.ts";

export interface WatchSvidsOptions {
  /** Ours: SVIDs of other identities are not used. */
  readonly id: Id;
  /** Verifies an SVID and puts it in force, or says why not; the former then stays. */
  readonly install: (svid: Svid) => Parsed<unknown>;
  /** Between attempts to reach the agent. */
  readonly backoff: BackoffParams;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: () => number;
  /** Ends the watch. */
  readonly signal: AbortSignal;
}

/** How often an agent that cannot be reached is mentioned: whoever looks at the log should not have to look far back. */
const REMINDER_MS = 15_000;

const isInvalidArgument: IsFatal = (code) => code === Code.INVALID_ARGUMENT;

/**
 * Keeps our SVID in force: the agent sends one at once and another whenever it has been renewed, so that there is no
 * renewal of ours to time.
 *
 * An agent that is not there yet, restarts or does not know us yet is asked again for ever. Only InvalidArgument ends
 * the watch; the SVID in force stays in every case, until peers refuse it for its age. What an answer says of bundles is not read:
 * trust comes from the configuration alone.
 *
 * Source: linkerd2-proxy, linkerd/proxy/spire-client/src/api.rs and linkerd/app/src/spire.rs. Other than there, a first
 * connection that fails is no reason to give up.
 */
export function watchSvids(open: OpenStream<X509SVIDResponse>, options: WatchSvidsOptions): void {
  const { id, install, clock, log } = options;
  let remindedAtMs: number | undefined;
  runWatchStream<X509SVIDResponse>({
    ...options,
    open,
    isFatal: isInvalidArgument,
    onMessage({ svids }) {
      if (remindedAtMs !== undefined) log.info("SPIRE agent is reachable again");
      remindedAtMs = undefined;
      const { svid, dropped } = chooseSvid(
        svids.map(({ spiffeId, x509Svid, x509SvidKey }) => ({
          spiffeId,
          chainDer: bufferOf(x509Svid),
          keyDer: bufferOf(x509SvidKey),
        })),
        id,
      );
      // What was read of them lives on in key objects; the bytes of the message would stay in memory for nobody.
      for (const { x509SvidKey } of svids) x509SvidKey.fill(0);
      for (const problem of dropped) log.warn("SVID dropped", { problem });
      const installed = svid.ok ? install(svid.value) : svid;
      if (svid.ok && installed.ok) {
        log.info("certified", { identity: id.text, expires: new Date(svid.value.notAfterMs).toISOString() });
      } else if (!installed.ok) {
        log.error("no new certificate", { identity: id.text, error: installed.problem });
      }
    },
    onRetry(status, pauseMs) {
      const fields = { ...fieldsOf(status), retry_ms: Math.round(pauseMs) };
      const nowMs = clock.nowMs();
      if (remindedAtMs !== undefined && nowMs - remindedAtMs < REMINDER_MS) {
        log.debug("SPIRE agent still gives no SVID", fields);
        return;
      }
      remindedAtMs = nowMs;
      log.warn("SPIRE agent gives no SVID; what is in force stays", fields);
    },
    onFatal(status) {
      log.error(
        "SPIRE agent refuses the request and is not asked again; what is in force stays",
        fieldsOf(status),
      );
    },
  });
}

function fieldsOf({ code, message }: CallStatus) {
  return { code, error: message };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
