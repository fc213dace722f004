/**
 * Heads from bytes, however these are split over reads.
 *
 * Lines are read as they complete; only the bytes of an unfinished line are kept, so that a head that arrives byte by
 * byte costs no more than one that arrives at once, and nothing is looked at twice.
 *
 * Line ends are CRLF; a bare LF is taken, as RFC 9112 section 2.2 allows and hyper does, and leaves as CRLF. A bare CR is
 * always malformed.
 */
import { HeaderField, HeaderName, NameRole } from "../header-field.ts";
import {
  H1_FIELD_LINES,
  H1_HEAD_BYTES,
  H1_LEADING_BLANK_BYTES,
  H1_NAME_BYTES,
  H1_TARGET_BYTES,
} from "../limits.ts";
import { ConnectionOptions } from "./connection-options.ts";
import { knownFieldLine, parseFieldLine, TOKEN_BYTES } from "./field-line.ts";
import { addCodings, Codings, NO_LENGTH, parseContentLength } from "./framing.ts";
import type { HeadProblem } from "./head-problem.ts";
import { isHost } from "./host.ts";
import { hashLine, KnownLine, scanLine, viewOf, type LineScan } from "./line-table.ts";
import { parseRequestLine, type RequestLine } from "./request-line.ts";
import { parseStatusLine, type StatusLine } from "./status-line.ts";

/** More bytes are needed; all given ones were taken. */
export const INCOMPLETE = -1;
/** The head is refused; see `problem`. */
export const MALFORMED = -2;

/** What a line did to the head. */
type Progress = typeof MORE | typeof COMPLETE | typeof MALFORMED;
const MORE = 0;
const COMPLETE = 1;

const CR = 0x0d;
const CRLF = 0x0d0a;
const LINE_END_BYTES = 2;
/** Lines of the last head that are remembered for the next. */
const EXPECTED_LINES = 32;

/** Used again for each line; parsers do not call each other. */
const scan: LineScan = { at: 0, hash: 0 };

/** First size of the buffer for an unfinished line. */
const PARTIAL_BYTES = 256;
/** Longest start line that can still be a legal one: method, target and version. */
const START_LINE_BYTES = H1_TARGET_BYTES + 256;

/** Settings that restore what upstream does where we ask for more; see DEV-2 and DEV-3. */
export interface Http1Leniency {
  /**
   * DEV-2: a request with both Content-Length and Transfer-Encoding is taken as chunked, and closes the connection;
   * `chunked` may be said twice.
   */
  readonly bothLengths: boolean;
  /** DEV-3: several or malformed Host fields are passed on. */
  readonly anyHost: boolean;
}

export const STRICT: Http1Leniency = { bothLengths: false, anyHost: false };

/** What requests and responses have in common. One parser serves all heads of a connection, one after the other. */
abstract class HeadParser {
  /** Fields in order. The array is the caller's once the head is complete. Transfer-Encoding is not among them. */
  fields: HeaderField[] = [];
  contentLength = NO_LENGTH;
  codings: Codings = Codings.none;
  readonly connection = new ConnectionOptions();
  /** Some field is meant for this hop only (connection, keep-alive, proxy-connection, te, upgrade). */
  hopByHop = false;
  upgrade: HeaderField | undefined = undefined;
  /** Both length rules were given, and leniency made it chunked: the connection must not be used again. */
  ambiguous = false;
  /** Why the head is refused, after `MALFORMED`. */
  problem: HeadProblem = NO_PROBLEM;
  /** Bytes of the head so far. */
  headBytes = 0;

  readonly #bothLengths: boolean;
  readonly #chunkedAgain: boolean;
  #started = false;
  #lines = 0;
  /**
   * The known field lines of the last head, by their place: clients and servers repeat themselves, and comparing is
   * cheaper than looking for the end of the line first (bench: hop-http1).
   */
  readonly #expected: (KnownLine<HeaderField> | undefined)[] = [];
  /** Names with their colons, by their place, of lines that differ from head to head. */
  readonly #names: (KnownLine<HeaderName> | undefined)[] = [];
  #partial: Buffer | undefined = undefined;
  #partialLength = 0;

  /**
   * @param bothLengths takes a message with both length rules as chunked.
   * @param chunkedAgain takes `chunked` that is said twice for once.
   */
  constructor(bothLengths: boolean, chunkedAgain: boolean) {
    this.#bothLengths = bothLengths;
    this.#chunkedAgain = chunkedAgain;
  }

  /** Whether a head has begun and is not complete. Empty lines before it do not count. */
  get inProgress(): boolean {
    return this.#started || this.#partialLength > 0;
  }

  /** Forgets the last head. */
  reset(): void {
    this.fields = [];
    this.contentLength = NO_LENGTH;
    this.codings = Codings.none;
    this.connection.clear();
    this.hopByHop = false;
    this.upgrade = undefined;
    this.ambiguous = false;
    this.headBytes = 0;
    this.#started = false;
    this.#lines = 0;
    this.#partial = undefined;
    this.#partialLength = 0;
  }

  /**
   * Takes bytes of a head. Returns the offset behind the head, `INCOMPLETE` or `MALFORMED`. After a complete head the
   * results stand until `reset`, which must come before the next head.
   */
  parse(buffer: Buffer, start: number, end: number): number {
    let lineStart = start;
    for (;;) {
      const expected = this.#expectedAt(viewOf(buffer), lineStart, end);
      if (expected !== undefined) {
        const lineEnd = lineStart + expected.length + LINE_END_BYTES;
        this.headBytes += lineEnd - lineStart;
        const problem = this.headBytes > H1_HEAD_BYTES ? HEAD_TOO_LARGE : this.#field(expected.value);
        if (problem !== undefined) {
          this.#refuse(problem);
          return MALFORMED;
        }
        lineStart = lineEnd;
        continue;
      }
      scanLine(viewOf(buffer), lineStart, end, scan);
      const { at, hash } = scan;
      if (at === end) return this.#keep(buffer, lineStart, end) ? INCOMPLETE : MALFORMED;
      this.headBytes += at + 1 - lineStart;
      if (this.headBytes > H1_HEAD_BYTES) {
        this.#refuse(HEAD_TOO_LARGE);
        return MALFORMED;
      }
      const progress =
        this.#partialLength > 0
          ? this.#keptLine(buffer, lineStart, at)
          : this.#line(buffer, lineStart, at, hash);
      if (progress === MALFORMED) return MALFORMED;
      lineStart = at + 1;
      if (progress === COMPLETE) return lineStart;
    }
  }

  /** Reads the first line. */
  protected abstract startLine(
    buffer: Buffer,
    start: number,
    end: number,
    hash: number,
  ): HeadProblem | undefined;
  /** A byte that the first line may begin with. */
  protected abstract canStart(byte: number): boolean;
  /** A field with a role that only requests know. */
  protected abstract ownField(field: HeaderField): HeadProblem | undefined;
  /** Decides over the head as a whole. */
  protected abstract finish(): HeadProblem | undefined;

  #refuse(problem: HeadProblem): Progress {
    this.problem = problem;
    this.#partial = undefined;
    return MALFORMED;
  }

  /** Keeps the bytes of an unfinished line; false if that refuses the head. */
  #keep(buffer: Buffer, start: number, end: number): boolean {
    if (end === start) return true;
    this.headBytes += end - start;
    const first = this.#partialLength > 0 ? CR : (buffer[start] ?? 0);
    this.#append(buffer, start, end);
    if (!this.#started) {
      if (this.#partialLength > START_LINE_BYTES) return this.#refuse(TARGET_TOO_LONG) === MORE;
      // Strangers to HTTP/1 may never send a line end: do not wait for it.
      if (first !== CR && !this.canStart(first)) return this.#refuse(NOT_A_START_LINE) === MORE;
    }
    return this.headBytes <= H1_HEAD_BYTES || this.#refuse(HEAD_TOO_LARGE) === MORE;
  }

  #append(buffer: Buffer, start: number, end: number): void {
    const total = this.#partialLength + end - start;
    let partial = this.#partial;
    if (partial === undefined || partial.length < total) {
      const grown = Buffer.allocUnsafeSlow(Math.max(PARTIAL_BYTES, total, (partial?.length ?? 0) * 2));
      if (partial !== undefined) partial.copy(grown, 0, 0, this.#partialLength);
      partial = grown;
      this.#partial = grown;
    }
    buffer.copy(partial, this.#partialLength, start, end);
    this.#partialLength = total;
  }

  /** A line whose beginning came with earlier reads. */
  #keptLine(buffer: Buffer, start: number, end: number): Progress {
    this.#append(buffer, start, end);
    const partial = this.#partial ?? buffer;
    const length = this.#partialLength;
    this.#partialLength = 0;
    this.#partial = undefined;
    return this.#line(partial, 0, length, hashLine(partial, 0, length));
  }

  #line(buffer: Buffer, start: number, lineEnd: number, hash: number): Progress {
    const end = lineEnd > start && buffer[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    let problem: HeadProblem | undefined;
    if (!this.#started) {
      if (end === start)
        return this.headBytes > H1_LEADING_BLANK_BYTES ? this.#refuse(ONLY_BLANK_LINES) : MORE;
      this.#started = true;
      if (end - start > START_LINE_BYTES) problem = TARGET_TOO_LONG;
      else if (!this.canStart(buffer[start] ?? 0)) problem = NOT_A_START_LINE;
      else problem = this.startLine(buffer, start, end, hash);
    } else if (end === start) {
      problem = this.#finishFraming() ?? this.finish();
      if (problem === undefined) {
        this.#started = false;
        return COMPLETE;
      }
    } else {
      problem = this.#fieldLine(buffer, start, end, hash);
    }
    return problem === undefined ? MORE : this.#refuse(problem);
  }

  /** The field line that stood here in the last head of the connection, if it does so again. */
  #expectedAt(view: DataView, start: number, end: number): KnownLine<HeaderField> | undefined {
    if (!this.#started || this.#partialLength > 0) return undefined;
    const line = this.#expected[this.#lines];
    if (line === undefined) return undefined;
    const lineEnd = start + line.length;
    if (lineEnd + LINE_END_BYTES > end || view.getUint16(lineEnd) !== CRLF) return undefined;
    return line.isAt(view, start) ? line : undefined;
  }

  #fieldLine(buffer: Buffer, start: number, end: number, hash: number): HeadProblem | undefined {
    const known = knownFieldLine(buffer, start, end, hash);
    if (this.#lines < EXPECTED_LINES) this.#expected[this.#lines] = known;
    if (known !== undefined) return this.#field(known.value);
    const likely = this.#names[this.#lines];
    const field = parseFieldLine(buffer, start, end, hash, likely);
    if (field === undefined) return MALFORMED_FIELD;
    const { name } = field;
    if (name !== likely?.value && name.shared && this.#lines < EXPECTED_LINES) {
      this.#names[this.#lines] = new KnownLine(buffer, start, start + name.text.length + 1, name);
    }
    return this.#field(field);
  }

  #field(field: HeaderField): HeadProblem | undefined {
    if (++this.#lines > H1_FIELD_LINES) return TOO_MANY_FIELDS;
    const name = field.name;
    switch (name.role) {
      case NameRole.ordinary:
        if (name.text.length > H1_NAME_BYTES) return NAME_TOO_LONG;
        this.fields.push(field);
        return undefined;
      case NameRole.contentLength:
        return this.#contentLength(field);
      case NameRole.transferEncoding:
        this.codings = addCodings(this.codings, field.value, this.#chunkedAgain);
        return undefined;
      case NameRole.connection:
        this.connection.add(field.value);
        this.hopByHop = true;
        break;
      case NameRole.upgrade:
        this.upgrade = field;
        this.hopByHop = true;
        break;
      case NameRole.keepAlive:
      case NameRole.te:
        this.hopByHop = true;
        break;
      default:
        break;
    }
    this.fields.push(field);
    return this.ownField(field);
  }

  /** Equal repetitions are one length; what is passed on is canonical (RFC 9110 section 8.6). */
  #contentLength(field: HeaderField): HeadProblem | undefined {
    const length = parseContentLength(field.value);
    if (length === NO_LENGTH) return BAD_LENGTH;
    if (this.contentLength !== NO_LENGTH)
      return length === this.contentLength ? undefined : DIFFERENT_LENGTHS;
    this.contentLength = length;
    const canonical = field.value.length === 1 || field.value.charCodeAt(0) !== 0x30;
    this.fields.push(canonical ? field : new HeaderField(field.name, String(length)));
    return undefined;
  }

  #finishFraming(): HeadProblem | undefined {
    if (this.codings === Codings.none) return undefined;
    if (this.contentLength !== NO_LENGTH) {
      if (!this.#bothLengths || this.codings !== Codings.chunked) return BOTH_LENGTHS;
      this.ambiguous = true;
      this.contentLength = NO_LENGTH;
      this.fields = this.fields.filter(isNotLength);
    }
    if (this.codings === Codings.chunked) return undefined;
    return this.codings === Codings.unsupported ? UNSUPPORTED_CODING : BAD_CODING;
  }
}

/** Reads request heads. `line` and the fields of the base are the result. */
export class RequestParser extends HeadParser {
  line: RequestLine = NO_REQUEST;
  /** The first Host field, also an empty one. */
  host: HeaderField | undefined = undefined;
  /** `expect: 100-continue`. */
  expectsContinue = false;
  /** `te` lists trailers: the client wants them. */
  acceptsTrailers = false;
  /** The request asks for a tunnel: CONNECT, or an Upgrade to anything but cleartext HTTP/2. */
  wantsTunnel = false;

  readonly #anyHost: boolean;
  #hosts = 0;
  /** The last good Host field of the connection. */
  #lastHost: HeaderField | undefined = undefined;

  constructor(leniency: Http1Leniency = STRICT) {
    super(leniency.bothLengths, leniency.bothLengths);
    this.#anyHost = leniency.anyHost;
  }

  override reset(): void {
    super.reset();
    this.line = NO_REQUEST;
    this.host = undefined;
    this.expectsContinue = false;
    this.acceptsTrailers = false;
    this.wantsTunnel = false;
    this.#hosts = 0;
  }

  protected startLine(buffer: Buffer, start: number, end: number, hash: number): HeadProblem | undefined {
    const line = parseRequestLine(buffer, start, end, hash);
    if ("problem" in line) return line;
    this.line = line;
    return undefined;
  }

  protected canStart(byte: number): boolean {
    return TOKEN_BYTES[byte] === 1;
  }

  protected ownField(field: HeaderField): HeadProblem | undefined {
    switch (field.name.role) {
      case NameRole.host:
        this.host ??= field;
        if (this.#anyHost) return undefined;
        if (++this.#hosts > 1) return SEVERAL_HOSTS;
        // A client names one host again and again, and known lines give the same object.
        if (field === this.#lastHost || field.value === "") return undefined;
        if (!isHost(field.value, false)) return BAD_HOST;
        this.#lastHost = field;
        return undefined;
      case NameRole.expect:
        if (field.value.toLowerCase() === "100-continue") this.expectsContinue = true;
        return undefined;
      case NameRole.te:
        if (listsTrailers(field.value)) this.acceptsTrailers = true;
        return undefined;
      default:
        return undefined;
    }
  }

  protected finish(): HeadProblem | undefined {
    const { version, path } = this.line;
    const isConnect = path === undefined;
    if (version === 10 && this.codings !== Codings.none) return CODING_IN_HTTP_10;
    if (isConnect && (this.codings !== Codings.none || this.contentLength > 0)) return CONNECT_WITH_BODY;
    // With a chunked body nothing but the response would tell where the tunnel begins; an Upgrade may be declined
    // (RFC 9110 section 7.8), so it is.
    const upgrades =
      this.upgrade !== undefined && this.codings === Codings.none && !offersHttp2(this.upgrade.value);
    this.wantsTunnel = isConnect || (version === 11 && upgrades);
    return undefined;
  }
}

/** Reads response heads. `line` and the fields of the base are the result. */
export class ResponseParser extends HeadParser {
  line: StatusLine = NO_STATUS;

  constructor() {
    // A server that gives both is believed in the way that shows all of its bytes, and not used again (RS-01).
    super(true, false);
  }

  override reset(): void {
    super.reset();
    this.line = NO_STATUS;
  }

  protected startLine(buffer: Buffer, start: number, end: number, hash: number): HeadProblem | undefined {
    const line = parseStatusLine(buffer, start, end, hash);
    if ("problem" in line) return line;
    this.line = line;
    return undefined;
  }

  protected canStart(byte: number): boolean {
    return byte === 0x48;
  }

  protected ownField(): undefined {
    return undefined;
  }

  protected finish(): undefined {
    return undefined;
  }
}

function isNotLength(field: HeaderField): boolean {
  return field.name.role !== NameRole.contentLength;
}

/** Whether a `te` value lists `trailers`. */
export function listsTrailers(value: string): boolean {
  if (value === "trailers") return true;
  return value
    .toLowerCase()
    .split(",")
    .some((coding) => coding.trim() === "trailers");
}

/** Cleartext HTTP/2 must not begin inside of a tunnel, where no policy would see its requests. */
function offersHttp2(value: string): boolean {
  if (value === "websocket") return false;
  return value
    .toLowerCase()
    .split(",")
    .some((protocol) => protocol.trim() === "h2c");
}

function bad(problem: string): HeadProblem {
  return { status: 400, problem };
}

const NO_PROBLEM = bad("");
const NOT_A_START_LINE = bad("not HTTP/1");
const ONLY_BLANK_LINES = bad("too many empty lines before a head");
const MALFORMED_FIELD = bad("a field line is malformed");
const BAD_LENGTH = bad("content-length is not a number");
const DIFFERENT_LENGTHS = bad("several content-lengths with different values");
const BOTH_LENGTHS = bad("both content-length and transfer-encoding");
const BAD_CODING = bad("transfer-encoding does not end in chunked, once");
const CODING_IN_HTTP_10 = bad("transfer-encoding in HTTP/1.0");
const CONNECT_WITH_BODY = bad("CONNECT with a body");
const SEVERAL_HOSTS = bad("several host fields");
const BAD_HOST = bad("host is malformed");
const UNSUPPORTED_CODING: HeadProblem = { status: 501, problem: "a transfer coding other than chunked" };
const TARGET_TOO_LONG: HeadProblem = { status: 414, problem: "the request target is too long" };
const HEAD_TOO_LARGE: HeadProblem = { status: 431, problem: "the head is too large" };
const TOO_MANY_FIELDS: HeadProblem = { status: 431, problem: "too many field lines" };
const NAME_TOO_LONG: HeadProblem = { status: 431, problem: "a field name is too long" };

/** Placeholders that keep the shape of a parser constant; never seen after a complete head. */
const NO_FIELD = new HeaderField(new HeaderName("", NameRole.ordinary), "");
const NO_REQUEST: RequestLine = {
  version: 11,
  method: NO_FIELD,
  scheme: undefined,
  authority: undefined,
  path: NO_FIELD,
  absoluteForm: false,
};
const NO_STATUS: StatusLine = { version: 11, status: 0, statusField: NO_FIELD, reason: "" };
