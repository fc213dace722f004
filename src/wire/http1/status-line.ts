import { BAD_IN_VALUE, FIELD_BYTES } from "../field-bytes.ts";
import { headerField, headerName, internField, type HeaderField } from "../header-field.ts";
import type { HeadProblem } from "./head-problem.ts";
import { LineTable } from "./line-table.ts";
import { parseVersion } from "./request-line.ts";

/** What a status line says. Shared between responses, so never changed. */
export interface StatusLine {
  readonly version: 10 | 11;
  /** 100 to 999. */
  readonly status: number;
  readonly statusField: HeaderField;
  /** As the server wrote it, possibly empty. */
  readonly reason: string;
}

const STATUS = headerName(":status");
const STATUS_LINES = 256;
const statusLines = new LineTable<StatusLine>(STATUS_LINES);

const SPACE = 0x20;
const STATUS_AT = 9;
const STATUS_DIGITS = 3;

/**
 * A status line without its line end: HTTP/1.0 or 1.1, three digits from 100, and perhaps a reason.
 *
 * Source: RFC 9112 section 4; RFC 9110 section 15 asks recipients to take status codes that they do not know.
 */
export function parseStatusLine(
  buffer: Buffer,
  start: number,
  end: number,
  hash: number,
): StatusLine | HeadProblem {
  const known = statusLines.find(buffer, start, end, hash);
  if (known !== undefined) return known.value;
  const reasonStart = start + STATUS_AT + STATUS_DIGITS;
  const version = end >= reasonStart ? parseVersion(buffer, start) : undefined;
  if (version === undefined || buffer[start + STATUS_AT - 1] !== SPACE)
    return malformed("no HTTP/1 status line");
  let status = 0;
  for (let i = start + STATUS_AT; i < reasonStart; i++) {
    const digit = (buffer[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return malformed("the status is not a number");
    status = status * 10 + digit;
  }
  if (status < 100) return malformed("the status is below 100");
  if (end > reasonStart && buffer[reasonStart] !== SPACE)
    return malformed("the status has more than three digits");
  for (let i = reasonStart; i < end; i++) {
    if (((FIELD_BYTES[buffer[i] ?? 0] ?? BAD_IN_VALUE) & BAD_IN_VALUE) !== 0) {
      return malformed("the reason phrase has a control character");
    }
  }
  const reason = end > reasonStart ? buffer.toString("latin1", reasonStart + 1, end) : "";
  const text = String(status);
  const admitted = statusLines.admits(end - start, hash);
  const statusField = admitted ? internField(STATUS, text) : headerField(STATUS, text);
  const line: StatusLine = { version, status, statusField, reason };
  if (admitted) statusLines.keep(buffer, start, end, hash, line);
  return line;
}

function malformed(problem: string): HeadProblem {
  return { status: 400, problem };
}
