import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { runCertifyLoop } from "../control/certify.ts";
import { generateKeyAndCsr, parseKeyAndCsr, type KeyAndCsr } from "../identity/key.ts";
import { wallMs } from "../time/clock.ts";
import { WatchCell, type Watch } from "../watch/watch.ts";
import type { ControlClients } from "./control.ts";
import type { ProxyShared } from "./shared.ts";

/** Asks for certificates for as long as the process lives, and tells whether there has been one. */
export function keepCertified(
  { identity }: Config,
  keys: KeyAndCsr,
  { store, families, clock, logging: { log } }: ProxyShared,
  client: ControlClients,
  signal: AbortSignal,
): Watch<boolean> {
  const certified = new WatchCell(false);
  const none = [] as const;
  const expiry = families.controlIdentityCertExpirationTimestampSeconds.cell(none);
  const refreshed = families.controlIdentityCertRefreshTimestampSeconds.cell(none);
  const refreshes = {
    ok: families.controlIdentityCertRefreshesTotal.cell([["result", "ok"]]),
    error: families.controlIdentityCertRefreshesTotal.cell([["result", "error"]]),
  };
  const identityLog = log.target("linkerd_identity").span("identity");
  void runCertifyLoop({
    identity: identity.id.text,
    csrDer: keys.csr,
    connect: () => client("identity", identity.service),
    readToken: () => readFile(identity.tokenFile),
    install: (issued) => {
      const { leafDer, intermediatesDer, validUntilMs } = issued;
      const installed = store.setCertificate(leafDer, intermediatesDer, keys.key, validUntilMs, wallMs());
      refreshes[installed.ok ? "ok" : "error"].value++;
      if (installed.ok) {
        expiry.value = validUntilMs / 1000;
        refreshed.value = wallMs() / 1000;
        certified.publish(true);
      }
      return installed;
    },
    bounds: { minMs: identity.minRefreshMs, maxMs: identity.maxRefreshMs },
    clock,
    wallMs,
    log: identityLog,
    signal,
  });
  return certified;
}

/** The key that a launcher left for us, or one made in memory, which is where it stays. */
export async function keyAndCsr(dir: string, identity: string): Promise<KeyAndCsr> {
  const [key, csr] = await Promise.all(
    ["key.p8", "csr.der"].map((name) => readFile(join(dir, name)).catch(() => undefined)),
  );
  if (key === undefined || csr === undefined) return generateKeyAndCsr(identity);
  const given = parseKeyAndCsr(key, csr);
  if (!given.ok) throw new Error(`${dir}: ${given.problem}`);
  return given.value;
}
