import { systemClock, wallMs } from "../time/clock.ts";
import { findField, HeaderField, headerName } from "../wire/header-field.ts";

export const DATE = headerName("date");

const SECOND_MS = 1000;

/** On the monotonic clock, which costs nothing within a read. */
let staleAtMs = -Infinity;
let current = new HeaderField(DATE, "");

/** The `date` field of now, made once a second (RFC 9110 section 6.6.1). */
export function dateField(): HeaderField {
  const nowMs = systemClock.nowMs();
  if (nowMs >= staleAtMs) {
    const wall = wallMs();
    const sinceSecond = wall % SECOND_MS;
    staleAtMs = nowMs + SECOND_MS - sinceSecond;
    current = new HeaderField(DATE, new Date(wall - sinceSecond).toUTCString());
    current.http1Line = `date: ${current.value}\r\n`;
  }
  return current;
}

/** Gives a response that has no `date` that of now, in place. */
export function addDate(fields: HeaderField[]): void {
  if (findField(fields, DATE) === undefined) fields.push(dateField());
}
