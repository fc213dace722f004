/** Bounds of the wait between two certificate requests. */
export interface RenewalBounds {
  readonly minMs: number;
  readonly maxMs: number;
}

/** Renewing at 70% of the life that remains leaves time for several attempts, each at 70% of what is then left. */
const SHARE_OF_REMAINING_LIFE = 0.7;

/**
 * How long to wait after an attempt, good or bad, before the next.
 *
 * @param expiryMs wall time at which the certificate in force expires; undefined before the first.
 *
 * Source: linkerd2-proxy, linkerd/proxy/identity-client/src/certify.rs.
 */
export function renewalDelayMs(expiryMs: number | undefined, nowMs: number, bounds: RenewalBounds): number {
  if (expiryMs === undefined || expiryMs <= nowMs) return bounds.minMs;
  const delayMs = Math.round(SHARE_OF_REMAINING_LIFE * (expiryMs - nowMs));
  return Math.max(bounds.minMs, Math.min(delayMs, bounds.maxMs));
}
