import type { HeaderField } from "../header-field.ts";

/** `name: value CRLF`. Shared fields keep the text for their next connection. */
export function fieldLine(field: HeaderField): string {
  const known = field.http1Line;
  if (known !== undefined) return known;
  const line = `${field.name.text}: ${field.value}\r\n`;
  if (field.interned || field.staticIndex !== 0) field.http1Line = line;
  return line;
}

/** `HTTP/1.x status reason CRLF`; without a reason of the server's own, the registered one. */
export function statusLine(version: 10 | 11, status: number, reason: string | undefined): string {
  const known = REASONS.get(status) ?? "";
  if (version === 11 && (reason === undefined || reason === known)) {
    return STATUS_LINES.get(status) ?? `HTTP/1.1 ${status} ${known}\r\n`;
  }
  return `${version === 10 ? "HTTP/1.0" : "HTTP/1.1"} ${status} ${reason ?? known}\r\n`;
}

/** `method target HTTP/1.x CRLF`. */
export function requestLine(method: string, target: string, version: 10 | 11): string {
  return version === 11 ? `${method} ${target} HTTP/1.1\r\n` : `${method} ${target} HTTP/1.0\r\n`;
}

/** Room that `writeChunkSize` needs at most. */
export const CHUNK_SIZE_BYTES = 16;
export const CHUNK_END = "\r\n";
/** The last chunk; trailer lines and an empty line follow. */
export const LAST_CHUNK = "0\r\n";
/** The last chunk without trailers. */
export const CHUNKED_END = "0\r\n\r\n";

/** Writes the size line of a chunk in place and returns the offset behind it. `size` is below 2^31. */
export function writeChunkSize(buffer: Buffer, offset: number, size: number): number {
  let at = offset;
  let shift = 28;
  while (shift > 0 && size >>> shift === 0) shift -= 4;
  for (; shift >= 0; shift -= 4) {
    const digit = (size >>> shift) & 15;
    buffer[at++] = digit < 10 ? 0x30 + digit : 0x57 + digit;
  }
  buffer[at++] = 0x0d;
  buffer[at++] = 0x0a;
  return at;
}

/** Registered reason phrases (RFC 9110 section 15 and the IANA registry). */
const REASONS = new Map<number, string>([
  [100, "Continue"],
  [101, "Switching Protocols"],
  [200, "OK"],
  [201, "Created"],
  [202, "Accepted"],
  [203, "Non-Authoritative Information"],
  [204, "No Content"],
  [205, "Reset Content"],
  [206, "Partial Content"],
  [207, "Multi-Status"],
  [208, "Already Reported"],
  [226, "IM Used"],
  [300, "Multiple Choices"],
  [301, "Moved Permanently"],
  [302, "Found"],
  [303, "See Other"],
  [304, "Not Modified"],
  [305, "Use Proxy"],
  [307, "Temporary Redirect"],
  [308, "Permanent Redirect"],
  [400, "Bad Request"],
  [401, "Unauthorized"],
  [402, "Payment Required"],
  [403, "Forbidden"],
  [404, "Not Found"],
  [405, "Method Not Allowed"],
  [406, "Not Acceptable"],
  [407, "Proxy Authentication Required"],
  [408, "Request Timeout"],
  [409, "Conflict"],
  [410, "Gone"],
  [411, "Length Required"],
  [412, "Precondition Failed"],
  [413, "Payload Too Large"],
  [414, "URI Too Long"],
  [415, "Unsupported Media Type"],
  [416, "Range Not Satisfiable"],
  [417, "Expectation Failed"],
  [418, "I'm a teapot"],
  [421, "Misdirected Request"],
  [422, "Unprocessable Entity"],
  [423, "Locked"],
  [424, "Failed Dependency"],
  [425, "Too Early"],
  [426, "Upgrade Required"],
  [428, "Precondition Required"],
  [429, "Too Many Requests"],
  [431, "Request Header Fields Too Large"],
  [451, "Unavailable For Legal Reasons"],
  [500, "Internal Server Error"],
  [501, "Not Implemented"],
  [502, "Bad Gateway"],
  [503, "Service Unavailable"],
  [504, "Gateway Timeout"],
  [505, "HTTP Version Not Supported"],
  [506, "Variant Also Negotiates"],
  [507, "Insufficient Storage"],
  [508, "Loop Detected"],
  [510, "Not Extended"],
  [511, "Network Authentication Required"],
]);

const STATUS_LINES = new Map<number, string>();
for (const [status, reason] of REASONS) STATUS_LINES.set(status, `HTTP/1.1 ${status} ${reason}\r\n`);
