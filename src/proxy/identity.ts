import type { KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { CertifyConfig, IdentityConfig, SpireConfig } from "../config/config.ts";
import { runCertifyLoop, type IssuedCertificate } from "../control/certify.ts";
import { watchSvids } from "../control/spire.ts";
import { openWorkloadApi } from "../control/workload-api.ts";
import { generateKeyAndCsr, parseKeyAndCsr, type KeyAndCsr } from "../identity/key.ts";
import type { Parsed } from "../parsed.ts";
import { wallMs } from "../time/clock.ts";
import { WatchCell, type Watch } from "../watch/watch.ts";
import type { ControlClients } from "./control.ts";
import type { ProxyShared } from "./shared.ts";

/** Where certificates come from: from the identity service for a key of ours, or with their keys from a SPIRE agent. */
export type CertificateSource = (CertifyConfig & { readonly keys: KeyAndCsr }) | SpireConfig;

/** Reads what must be known before anything starts. Throws if a launcher left files that do not fit together. */
export async function certificateSource(identity: IdentityConfig): Promise<CertificateSource> {
  if (identity.kind === "spire") return identity;
  return { ...identity, keys: await keyAndCsr(identity.dir, identity.id.text) };
}

/** Gets certificates for as long as the process lives, and tells whether there has been one. */
export function keepCertified(
  source: CertificateSource,
  { store, families, clock, random, logging: { log } }: ProxyShared,
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
  const install = (issued: IssuedCertificate, key: KeyObject): Parsed<unknown> => {
    const { leafDer, intermediatesDer, validUntilMs } = issued;
    const installed = store.setCertificate(leafDer, intermediatesDer, key, validUntilMs, wallMs());
    refreshes[installed.ok ? "ok" : "error"].value++;
    if (installed.ok) {
      expiry.value = validUntilMs / 1000;
      refreshed.value = wallMs() / 1000;
      certified.publish(true);
    }
    return installed;
  };
  const common = { clock, signal };
  const identityLog = log.target("linkerd_identity");
  if (source.kind === "spire") {
    const { id, socketPath, backoff } = source;
    watchSvids(openWorkloadApi(socketPath), {
      ...common,
      log: identityLog.span("spire", { socket: socketPath }),
      id,
      backoff,
      random,
      install: ({ key, notAfterMs, ...chain }) => install({ ...chain, validUntilMs: notAfterMs }, key),
    });
  } else {
    const { keys, service, tokenFile, minRefreshMs, maxRefreshMs } = source;
    void runCertifyLoop({
      ...common,
      log: identityLog.span("identity"),
      identity: source.id.text,
      csrDer: keys.csr,
      connect: () => client("identity", service),
      readToken: () => readFile(tokenFile),
      install: (issued) => install(issued, keys.key),
      bounds: { minMs: minRefreshMs, maxMs: maxRefreshMs },
      wallMs,
    });
  }
  return certified;
}

/** The key that a launcher left for us, or one made in memory, which is where it stays. */
async function keyAndCsr(dir: string, identity: string): Promise<KeyAndCsr> {
  const [key, csr] = await Promise.all(
    ["key.p8", "csr.der"].map((name) => readFile(join(dir, name)).catch(() => undefined)),
  );
  if (key === undefined || csr === undefined) return generateKeyAndCsr(identity);
  const given = parseKeyAndCsr(key, csr);
  if (!given.ok) throw new Error(`${dir}: ${given.problem}`);
  return given.value;
}
