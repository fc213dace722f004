export interface RotationOptions {
  /** Life of the certificates, in whole seconds. */
  readonly lifetimeSeconds: number;
  /** How long the load lasts; all phases scale with it. */
  readonly seconds: number;
}

/** What a proxy showed to a connection that was made just then. */
export interface Shown {
  readonly proxy: string;
  readonly serial: string;
  /** The issuer's certificate that came along, base64. */
  readonly issuer: string;
}

export interface RotationResult {
  readonly seconds: number;
  readonly lifetimeSeconds: number;
  /** Exchanges of each kind. */
  readonly requests: Readonly<Record<string, number>>;
  /** What failed, and how. */
  readonly failures: readonly string[];
  /** Certificates that each proxy got in addition to its first one. */
  readonly renewals: Readonly<Record<string, number>>;
  /** Certificates that a proxy did not take. */
  readonly refusedCertificates: number;
  /** TLS handshakes of the client's proxy during the load. */
  readonly handshakes: number;
  /** TCP connections of the load, each of which takes a handshake. */
  readonly newConnections: number;
  /** In the order of the phases: first, second and third issuer, and the end. */
  readonly shown: readonly Shown[];
  /** The issuers' certificates in the order of the phases, base64; the third is under the new anchor. */
  readonly issuers: readonly string[];
  /** How long before the end the last certificate under the old anchor ran out. */
  readonly oldEndedSecondsBeforeEnd: number;
}

/** The control plane adds a tenth at the end, for clocks that are off, and ends on a whole second. */
export function longestLifeSeconds(lifetimeSeconds: number): number {
  return 1.1 * lifetimeSeconds + 1;
}

/** Renewals that a proxy owes: one whenever 70 % of a certificate's life is over. */
export function renewalsOwed({
  seconds,
  lifetimeSeconds,
}: Pick<RotationResult, "seconds" | "lifetimeSeconds">): number {
  return Math.floor(seconds / (0.7 * longestLifeSeconds(lifetimeSeconds)));
}

/** What did not hold, in words. */
export function brokenPromises(result: RotationResult): readonly string[] {
  const broken = [...result.failures];
  const owed = renewalsOwed(result);
  for (const [proxy, renewals] of Object.entries(result.renewals)) {
    if (renewals < owed)
      broken.push(`${proxy} renewed its certificate ${renewals} times, expected at least ${owed}`);
  }
  if (result.refusedCertificates > 0) broken.push(`${result.refusedCertificates} certificates were refused`);
  if (result.handshakes < result.newConnections) {
    broken.push(`${result.handshakes} handshakes for ${result.newConnections} new TCP connections`);
  }
  const [first, second, third] = result.issuers;
  const expected = [first, first, second, second, third, third, third, third, third];
  const strangers = result.shown.filter(({ issuer }, i) => issuer !== expected[i]);
  for (const { proxy } of strangers)
    broken.push(`${proxy} showed a certificate of another issuer than the phase's`);
  if (result.shown.length !== expected.length)
    broken.push(`${result.shown.length} certificates were looked at`);
  const serials = new Set(result.shown.slice(0, 6).map(({ serial }) => serial));
  if (serials.size !== 6) broken.push("a proxy showed the same certificate in two phases");
  if (result.oldEndedSecondsBeforeEnd <= 0)
    broken.push("certificates under the old anchor were still good at the end");
  return broken;
}
