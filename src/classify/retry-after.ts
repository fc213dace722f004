/** RFC 9110 section 5.6.7, the one form of a date that senders may still write. */
const IMF_FIXDATE = /^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT$/;

const MS_PER_SECOND = 1000;

/**
 * Reads `Retry-After`: how long to wait from now, in milliseconds; a date in the past is 0, nonsense is undefined.
 *
 * @param nowWallMs wall time, milliseconds since 1970: the header may carry a date.
 *
 * Source: RFC 9110 section 10.2.3.
 */
export function parseRetryAfter(text: string, nowWallMs: number): number | undefined {
  const trimmed = text.trim();
  if (/^[0-9]+$/.test(trimmed)) return Number(trimmed) * MS_PER_SECOND;
  if (!IMF_FIXDATE.test(trimmed)) return undefined;
  const at = Date.parse(trimmed);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowWallMs);
}

const INT32_MAX = 2 ** 31 - 1;

/**
 * Reads `grpc-retry-pushback-ms`: milliseconds to wait; negative ("do not retry") and invalid values are undefined.
 *
 * Source: gRFC A6.
 */
export function parseRetryPushback(text: string): number | undefined {
  if (!/^[0-9]{1,10}$/.test(text)) return undefined;
  const ms = Number(text);
  return ms <= INT32_MAX ? ms : undefined;
}
