const MS_PER_SECOND = 1000;

/** `Sun, 06 Nov 1994 08:49:37 GMT`, the form that senders write. */
const IMF_FIXDATE =
  /^[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT$/;
/** `Sunday, 06-Nov-94 08:49:37 GMT`, obsolete. */
const RFC_850 =
  /^[A-Z][a-z]+day, ([0-9]{2})-([A-Z][a-z]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT$/;
/** `Sun Nov  6 08:49:37 1994`, obsolete. */
const ASCTIME = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ 0-9][0-9]) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([0-9]{4})$/;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * Reads `Retry-After`: how long to wait from now, in milliseconds; a date in the past is 0, nonsense is undefined.
 *
 * @param nowWallMs wall time, milliseconds since 1970: the header may carry a date.
 *
 * Source: RFC 9110 section 10.2.3; dates in all three forms that section 5.6.7 asks recipients to read.
 */
export function parseRetryAfter(text: string, nowWallMs: number): number | undefined {
  const trimmed = text.trim();
  if (/^[0-9]+$/.test(trimmed)) return Number(trimmed) * MS_PER_SECOND;
  const at = parseHttpDate(trimmed, nowWallMs);
  return at === undefined ? undefined : Math.max(0, at - nowWallMs);
}

function parseHttpDate(text: string, nowWallMs: number): number | undefined {
  let match = IMF_FIXDATE.exec(text);
  if (match !== null) return utc(match[3], match[2], match[1], match[4], match[5], match[6]);
  match = RFC_850.exec(text);
  if (match !== null) {
    return utc(fullYear(Number(match[3]), nowWallMs), match[2], match[1], match[4], match[5], match[6]);
  }
  match = ASCTIME.exec(text);
  return match === null ? undefined : utc(match[6], match[1], match[2], match[3], match[4], match[5]);
}

/** Two digits mean the year of that ending that is at most 50 years ahead (RFC 9110 section 5.6.7). */
function fullYear(twoDigits: number, nowWallMs: number): number {
  const thisYear = new Date(nowWallMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + 50 ? year - 100 : year;
}

type Digits = string | number | undefined;

/** Undefined for what no calendar has, as the 31st of June. */
function utc(
  year: Digits,
  month: string | undefined,
  day: Digits,
  hour: Digits,
  minute: Digits,
  second: Digits,
): number | undefined {
  const parts = [
    Number(year),
    MONTHS.indexOf(month ?? ""),
    Number(day),
    Number(hour),
    Number(minute),
  ] as const;
  const [y, mon, d, h, min] = parts;
  const s = Number(second);
  // 60 is a leap second.
  if (mon < 0 || d < 1 || h > 23 || min > 59 || s > 60) return undefined;
  const at = Date.UTC(y, mon, d, h, min, s);
  return new Date(Date.UTC(y, mon, d)).getUTCDate() === d ? at : undefined;
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
