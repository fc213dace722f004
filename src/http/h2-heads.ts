/**
 * A decoded header list as a message head, or what is malformed about it. Everything that could smuggle a second meaning
 * into the next hop is refused here, before any policy looks.
 *
 * Source: RFC 9113 sections 8.1 to 8.5.
 */
import { BAD_IN_NAME, FIELD_BYTES } from "../wire/field-bytes.ts";
import { HeaderField, headerField, NameRole } from "../wire/header-field.ts";
import { isHost } from "../wire/http1/host.ts";
import { AUTHORITY, RequestHead, ResponseHead } from "./message.ts";

/** No content-length was given. */
export const LENGTH_UNKNOWN = -1;

/**
 * Reads one list at a time. What it found beside the head stays in its fields until the next call, so that a message
 * costs no object more than its head.
 */
export class HeadReader {
  /** Value of content-length, or `LENGTH_UNKNOWN`. */
  contentLength = LENGTH_UNKNOWN;
  /** What is malformed, after `undefined` was returned. Fit for operators: names, never values. */
  problem = "";
  /** See `H2ServerOptions.oneHost`. */
  oneHost = false;

  #method: HeaderField | undefined;
  #scheme: HeaderField | undefined;
  #authority: HeaderField | undefined;
  #path: HeaderField | undefined;
  #status: HeaderField | undefined;
  #hasHost = false;

  /** The request that `list` describes. */
  request(list: readonly HeaderField[], nowMs: number): RequestHead | undefined {
    const pseudos = this.#readPseudo(list);
    if (pseudos < 0) return undefined;
    if (this.#status !== undefined) return this.#malformed(":status in a request");
    const method = this.#method;
    if (method === undefined) return this.#malformed(":method is missing");
    if (method.staticIndex === 0 && !isToken(method.value)) return this.#malformed(":method is no token");
    if (this.#authority !== undefined && !isAuthority(this.#authority.value))
      return this.#malformed(":authority is invalid");
    const fields = this.#regular(list, pseudos, true);
    if (fields === undefined) return undefined;
    if (this.#hasHost && this.oneHost && !this.#settleHost(fields)) return this.#malformed("host is invalid");
    const authority = this.#authority;
    if (method.value === "CONNECT") {
      if (this.#scheme !== undefined || this.#path !== undefined)
        return this.#malformed("CONNECT with :scheme or :path");
      if (authority === undefined) return this.#malformed("CONNECT without :authority");
      const head = new RequestHead(20, method, undefined, authority, undefined, fields, nowMs);
      head.upgrade = true;
      return head;
    }
    const scheme = this.#scheme;
    if (scheme === undefined) return this.#malformed(":scheme is missing");
    if (scheme.staticIndex === 0 && scheme.value !== "http" && scheme.value !== "https") {
      return this.#malformed(":scheme is neither http nor https");
    }
    let path = this.#path;
    if (path === undefined) return this.#malformed(":path is missing");
    if (path.staticIndex === 0) {
      path = checkedPath(path, method.value);
      if (path === undefined) return this.#malformed(":path is invalid");
    }
    return new RequestHead(20, method, scheme, authority, path, fields, nowMs);
  }

  /** The response, final or interim, that `list` describes. */
  response(list: readonly HeaderField[]): ResponseHead | undefined {
    const pseudos = this.#readPseudo(list);
    if (pseudos < 0) return undefined;
    const status = this.#status;
    if (status === undefined) return this.#malformed(":status is missing");
    if (pseudos > 1) return this.#malformed("request pseudo-header in a response");
    const code = statusCode(status.value);
    if (code < 100) return this.#malformed(":status is invalid");
    // Interim responses have no content, and HTTP/2 no 101 (RFC 9113 section 8.6).
    if (code === 101) return this.#malformed(":status is 101");
    const fields = this.#regular(list, pseudos, false);
    return fields && new ResponseHead(20, code, status, fields);
  }

  /**
   * The trailers that `list` describes. They end their stream, and come only after all the content that
   * content-length told, of which `contentLeft` bytes are missing (RFC 9113 sections 8.1 and 8.1.1).
   */
  trailers(list: readonly HeaderField[], endStream: boolean, contentLeft: number): HeaderField[] | undefined {
    if (!endStream) return this.#malformed("trailers without END_STREAM");
    if (contentLeft > 0) return this.#malformed("content-length and DATA differ");
    return this.#regular(list, 0, false);
  }

  /** Makes host and authority one; false if there is only a host, and it is none. An empty host says nothing. */
  #settleHost(fields: HeaderField[]): boolean {
    const at = fields.findIndex(({ name }) => name.role === NameRole.host);
    const host = fields[at];
    if (host === undefined || host.value === "") return true;
    if (this.#authority === undefined) {
      if (!isHost(host.value, false)) return false;
      this.#authority = headerField(AUTHORITY, host.value);
    } else if (host.value !== this.#authority.value) {
      fields[at] = headerField(host.name, this.#authority.value);
    }
    return true;
  }

  #malformed(problem: string): undefined {
    this.problem = problem;
    return undefined;
  }

  /** Takes the pseudo-header fields, which come first. Returns how many there are, or -1. */
  #readPseudo(list: readonly HeaderField[]): number {
    this.#method = undefined;
    this.#scheme = undefined;
    this.#authority = undefined;
    this.#path = undefined;
    this.#status = undefined;
    let at = 0;
    for (; at < list.length; at++) {
      const field = list[at];
      if (field === undefined) break;
      let before: HeaderField | undefined;
      switch (field.name.role) {
        case NameRole.method:
          before = this.#method;
          this.#method = field;
          break;
        case NameRole.scheme:
          before = this.#scheme;
          this.#scheme = field;
          break;
        case NameRole.authority:
          before = this.#authority;
          this.#authority = field;
          break;
        case NameRole.path:
          before = this.#path;
          this.#path = field;
          break;
        case NameRole.status:
          before = this.#status;
          this.#status = field;
          break;
        case NameRole.otherPseudo:
          // Also `:protocol`: extended CONNECT is not offered (RFC 8441 section 3).
          this.problem = "unknown pseudo-header";
          return -1;
        default:
          return at;
      }
      if (before !== undefined) {
        this.problem = `${field.name.text} twice`;
        return -1;
      }
    }
    return at;
  }

  /** The rest of the list, checked. Sets `contentLength`. */
  #regular(list: readonly HeaderField[], from: number, isRequest: boolean): HeaderField[] | undefined {
    this.contentLength = LENGTH_UNKNOWN;
    let lengthAgain = false;
    this.#hasHost = false;
    for (let i = from; i < list.length; i++) {
      const field = list[i];
      const role = field === undefined ? NameRole.ordinary : field.name.role;
      // Most fields are ordinary, and stay with one comparison.
      if (field === undefined || role === NameRole.ordinary) continue;
      if (role <= NameRole.otherPseudo)
        return this.#malformed(`${field.name.text} after a field or in trailers`);
      switch (role) {
        case NameRole.transferEncoding:
        case NameRole.connection:
        case NameRole.upgrade:
        case NameRole.keepAlive:
          return this.#malformed(`${field.name.text} has no meaning in HTTP/2`);
        case NameRole.te:
          if (field.value.toLowerCase() !== "trailers") return this.#malformed("te is not trailers");
          break;
        case NameRole.host:
          if (this.#hasHost && isRequest) return this.#malformed("host twice");
          this.#hasHost = true;
          break;
        case NameRole.contentLength: {
          const length = parseContentLength(field.value);
          if (length < 0) return this.#malformed("content-length is invalid");
          if (this.contentLength !== LENGTH_UNKNOWN) {
            if (length !== this.contentLength)
              return this.#malformed("content-length twice, with different values");
            lengthAgain = true;
          }
          this.contentLength = length;
          break;
        }
        default:
      }
    }
    const fields = list.slice(from);
    return lengthAgain ? withoutRepeatedLength(fields) : fields;
  }
}

/** Repeated but equal lengths are one length (RFC 9110 section 8.6); the next hop sees only the first. */
function withoutRepeatedLength(fields: HeaderField[]): HeaderField[] {
  const first = fields.findIndex((field) => field.name.role === NameRole.contentLength);
  return fields.filter((field, i) => i <= first || field.name.role !== NameRole.contentLength);
}

/** Digits only, and a number that is exact; -1 otherwise. */
function parseContentLength(text: string): number {
  if (text.length === 0 || text.length > 16) return -1;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return Number.isSafeInteger(value) ? value : -1;
}

/** Three digits from 100 to 599; 0 otherwise. */
function statusCode(text: string): number {
  if (text.length !== 3) return 0;
  const code = parseContentLength(text);
  return code >= 100 && code <= 599 ? code : 0;
}

/** A method: token characters, of either case (RFC 9110 section 9.1). */
function isToken(text: string): boolean {
  if (text.length === 0) return false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char >= 0x41 && char <= 0x5a) continue;
    if (char > 0xff || ((FIELD_BYTES[char] ?? 0) & BAD_IN_NAME) !== 0) return false;
  }
  return true;
}

/**
 * Host and port, without user information (RFC 9113 section 8.3.1): only bytes that RFC 3986 section 3.2 allows there,
 * because this text decides policy.
 */
function isAuthority(text: string): boolean {
  if (text.length === 0) return false;
  for (let i = 0; i < text.length; i++) if (AUTHORITY_BYTES[text.charCodeAt(i)] !== 1) return false;
  return true;
}

const AUTHORITY_BYTES = new Uint8Array(256);
for (const char of "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~!$&'()*+,;=:[]%") {
  AUTHORITY_BYTES[char.charCodeAt(0)] = 1;
}

/** Origin-form, or `*` for OPTIONS; a fragment is cut off. Undefined for anything else. */
function checkedPath(path: HeaderField, method: string): HeaderField | undefined {
  const text = path.value;
  if (text === "*") return method === "OPTIONS" ? path : undefined;
  if (text.charCodeAt(0) !== 0x2f) return undefined;
  for (let i = 1; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char <= 0x20 || char === 0x7f) return undefined;
    if (char === 0x23) {
      const clean = new HeaderField(path.name, text.slice(0, i));
      clean.neverIndex = path.neverIndex;
      // What follows the fragment mark must be no less clean, although nobody will see it.
      return hasBlank(text, i) ? undefined : clean;
    }
  }
  return path;
}

function hasBlank(text: string, from: number): boolean {
  for (let i = from; i < text.length; i++) if (text.charCodeAt(i) <= 0x20) return true;
  return false;
}
