import { setTimeout as pause } from "node:timers/promises";
import { metricSum } from "../../test/support/app/metrics.ts";
import type { Pair } from "../../test/support/app/pair.ts";
import { SteadyLoad } from "./steady-load.ts";

export interface RenewalsResult {
  /** Exchanges of each kind. */
  readonly requests: Readonly<Record<string, number>>;
  /** What failed, and how. */
  readonly failures: readonly string[];
  /** Certificates that each proxy got in addition to its first one. */
  readonly renewals: { readonly outbound: number; readonly inbound: number };
  /** TLS handshakes of the outbound proxy during the load. */
  readonly handshakes: number;
}

/** Certificates that a proxy has taken up since its start. */
export function certificatesOf(adminPort: number): Promise<number> {
  return metricSum(adminPort, "control_identity_cert_refreshes_total", 'result="ok"');
}

/** TLS handshakes that a proxy has made as client. */
export function handshakesOf(adminPort: number): Promise<number> {
  return metricSum(adminPort, "outrigger_tls_handshakes_total", 'direction="outbound"');
}

/** A load, and what came of it, between proxies whose certificates somebody renews. @param perSecond of each kind. */
export async function loadWhileRotating(
  { client, server }: Pair,
  { seconds, perSecond }: { readonly seconds: number; readonly perSecond: number },
): Promise<RenewalsResult> {
  const [outbound, inbound] = [client.sidecar.adminPort, server.adminPort];
  const counts = () =>
    Promise.all([certificatesOf(outbound), certificatesOf(inbound), handshakesOf(outbound)]);
  const before = await counts();
  const load = await SteadyLoad.start(client.ports, {
    http1Kept: perSecond,
    http1New: perSecond,
    http2: perSecond,
    grpc: perSecond,
    tunnel: perSecond,
    tcpNew: perSecond,
  });
  await pause(seconds * 1000);
  await load.stop();
  const after = await counts();
  return {
    requests: load.requests,
    failures: load.failures,
    renewals: { outbound: after[0] - before[0], inbound: after[1] - before[1] },
    handshakes: after[2] - before[2],
  };
}
