import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { renewalDelayMs, type RenewalBounds } from "../identity/renewal.ts";
import type { Log } from "../log/log.ts";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { CertifyRequestSchema, Identity } from "../proto/gen/identity_pb.js";
import { sleep, type Clock } from "../time/clock.ts";
import type { ControlClient } from "./control-client.ts";

/** A certificate as the identity service issued it; nothing about it is verified yet. */
export interface IssuedCertificate {
  readonly leafDer: Buffer;
  /** From the leaf's issuer upward. */
  readonly intermediatesDer: readonly Buffer[];
  /** Wall time in milliseconds. */
  readonly validUntilMs: number;
}

/** What an attempt may take altogether. The API has no limit; a service that accepts and never answers must not end renewal. */
const ATTEMPT_TIMEOUT_MS = 10_000;

export interface CertifyLoopOptions {
  /** The identity to be certified: the only name in the signing request. */
  readonly identity: string;
  /** PKCS#10, DER; the same for every attempt, as is the key. */
  readonly csrDer: Buffer;
  /** A client of its own for each attempt, so that nothing of a failed one is left. */
  readonly connect: () => Pick<ControlClient, "unary" | "close">;
  /** Asked for each attempt: tokens are replaced while we run. */
  readonly readToken: () => Promise<Buffer>;
  /** Verifies a certificate and puts it in force, or says why not; the former then stays. */
  readonly install: (issued: IssuedCertificate) => Parsed<unknown>;
  readonly bounds: RenewalBounds;
  readonly clock: Clock;
  /** Wall time in milliseconds: certificates count in it. */
  readonly wallMs: () => number;
  readonly log: Log;
  /** Ends the loop. */
  readonly signal: AbortSignal;
  /** Told of each attempt, for metrics: the expiry in force, undefined before the first certificate. */
  readonly onAttempt?: (result: "ok" | "error", expiryMs: number | undefined) => void;
}

/**
 * Keeps a certificate in force: asks, installs, waits for 70% of the remaining life, and again; never gives up.
 *
 * Without backoff and without jitter: the pause after a failure follows from the life that is left, down to the lower
 * bound, and before the first certificate it is the lower bound.
 *
 * @returns when `signal` aborts. Never rejects.
 *
 * Source: linkerd2-proxy, linkerd/proxy/identity-client/src/certify.rs.
 */
export async function runCertifyLoop(options: CertifyLoopOptions): Promise<void> {
  const { identity, install, bounds, clock, wallMs, log, signal, onAttempt } = options;
  let expiryMs: number | undefined;
  while (!signal.aborted) {
    const issued = await certify(options, wallMs());
    if (signal.aborted) return;
    const installed = issued.ok ? install(issued.value) : issued;
    if (issued.ok && installed.ok) {
      expiryMs = issued.value.validUntilMs;
      log.info("certified", { identity, expires: new Date(expiryMs).toISOString() });
      onAttempt?.("ok", expiryMs);
    } else if (!installed.ok) {
      log.error("no new certificate", { identity, error: installed.problem });
      onAttempt?.("error", expiryMs);
    }
    try {
      await sleep(clock, renewalDelayMs(expiryMs, wallMs(), bounds), signal);
    } catch {
      return;
    }
  }
}

/** One attempt. Refuses an answer without an expiry or with one in the past. */
async function certify(options: CertifyLoopOptions, nowMs: number): Promise<Parsed<IssuedCertificate>> {
  const { identity, csrDer, connect, readToken, clock, signal } = options;
  let token: Buffer;
  try {
    token = await readToken();
  } catch (error) {
    return unparsed(`reading the token: ${error instanceof Error ? error.message : String(error)}`);
  }
  const attempt = new AbortController();
  const abandon = (): void => attempt.abort();
  const timer = clock.after(ATTEMPT_TIMEOUT_MS, abandon);
  signal.addEventListener("abort", abandon, { once: true });
  const client = connect();
  try {
    const request = create(CertifyRequestSchema, { identity, token, certificateSigningRequest: csrDer });
    const result = await client.unary(Identity.method.certify, request, attempt.signal);
    if (!result.ok) return unparsed(`Certify: ${result.status.message} (code ${result.status.code})`);
    const { leafCertificate, intermediateCertificates, validUntil } = result.value;
    if (validUntil === undefined) return unparsed("Certify: valid_until is missing");
    const validUntilMs = timestampMs(validUntil);
    if (validUntilMs <= nowMs) return unparsed("Certify: valid_until is in the past");
    return parsed({
      leafDer: Buffer.from(leafCertificate),
      intermediatesDer: intermediateCertificates.map((der) => Buffer.from(der)),
      validUntilMs,
    });
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", abandon);
    client.close();
  }
}
