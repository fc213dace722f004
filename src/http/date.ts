import { wallMs } from "../time/clock.ts";
import { HeaderField, headerName } from "../wire/header-field.ts";

export const DATE = headerName("date");

let second = -1;
let current = new HeaderField(DATE, "");

/** The `date` field of now, made once a second (RFC 9110 section 6.6.1). */
export function dateField(): HeaderField {
  const now = Math.floor(wallMs() / 1000);
  if (now !== second) {
    second = now;
    current = new HeaderField(DATE, new Date(now * 1000).toUTCString());
    current.http1Line = `date: ${current.value}\r\n`;
  }
  return current;
}
