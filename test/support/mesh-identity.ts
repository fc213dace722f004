/** Certificates of the embedded control plane for clients that are no proxies. */
import { createLog } from "../../src/log/create-log.ts";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { runCertifyLoop } from "../../src/control/certify.ts";
import { ControlClient } from "../../src/control/control-client.ts";
import { generateKeyAndCsr } from "../../src/identity/key.ts";
import { parseId } from "../../src/identity/id.ts";
import { parseTrustRoots } from "../../src/identity/trust-roots.ts";
import type { Parsed } from "../../src/parsed.ts";
import { systemClock } from "../../src/time/clock.ts";
import { CredentialsStore } from "../../src/tls/credentials.ts";
import type { Mesh } from "./mesh.ts";
import { identityOf } from "./mesh-manifest.ts";

function must<T>(result: Parsed<T>): T {
  if (!result.ok) throw new Error(result.problem);
  return result.value;
}

/** A store that trusts the mesh and has no certificate of its own. */
export function anonymousIn(mesh: Mesh, name = "nobody"): CredentialsStore {
  const identity = identityOf(name);
  const { roots } = must(parseTrustRoots(mesh.controlPlane.trustAnchorsPem));
  return new CredentialsStore(must(parseId(identity)), must(parseDnsName(identity)), roots);
}

/** A store with a certificate for a workload that the manifests name. */
export async function certifiedIn(mesh: Mesh, name: string): Promise<CredentialsStore> {
  const identity = identityOf(name);
  const store = anonymousIn(mesh, name);
  const keys = generateKeyAndCsr(identity);
  const done = new AbortController();
  const token = mesh.controlPlane.tokenFor(identity);
  if (token === undefined) throw new Error(`no workload has the identity ${identity}`);
  const { log } = createLog({ filter: "off", format: "plain", write: () => {} });
  await runCertifyLoop({
    identity,
    csrDer: keys.csr,
    connect: () =>
      new ControlClient({
        service: "identity",
        address: { kind: "socket", socket: mesh.controlPlane.address },
        tls: undefined,
        connectTimeoutMs: 1_000,
        backoff: { minMs: 10, maxMs: 100, jitter: 0 },
        clock: systemClock,
        log,
      }),
    readToken: () => Promise.resolve(Buffer.from(token)),
    install: ({ leafDer, intermediatesDer, validUntilMs }) => {
      const installed = store.setCertificate(leafDer, intermediatesDer, keys.key, validUntilMs, Date.now());
      done.abort();
      return installed;
    },
    bounds: { minMs: 1_000, maxMs: 60_000 },
    clock: systemClock,
    wallMs: () => Date.now(),
    log,
    signal: done.signal,
  });
  return store;
}
