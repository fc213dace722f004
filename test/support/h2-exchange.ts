/** The two ends of an exchange, scripted, for tests of HTTP/2 connections. */
import { createHash, type Hash } from "node:crypto";
import type { ProxyError } from "../../src/errors/proxy-error.ts";
import {
  AUTHORITY,
  METHOD,
  PATH,
  RequestHead,
  ResponseHead,
  SCHEME_HTTP,
  statusField,
  type HttpService,
  type ResponseSink,
  type Sink,
} from "../../src/http/message.ts";
import { headerField, headerName, type HeaderField } from "../../src/wire/header-field.ts";

export function field(name: string, value: string): HeaderField {
  return headerField(headerName(name), value);
}

export function requestHead(method: string, path: string, ...fields: readonly HeaderField[]): RequestHead {
  const head = new RequestHead(
    20,
    headerField(METHOD, method),
    SCHEME_HTTP,
    headerField(AUTHORITY, "h.test"),
    headerField(PATH, path),
    [...fields],
    0,
  );
  return head;
}

export function responseHead(status: number, ...fields: readonly HeaderField[]): ResponseHead {
  return new ResponseHead(20, status, statusField(status), [...fields]);
}

/** Everything that arrives at a sink. Gives credit at once unless `holding`; the opposite sink is `source`. */
export class RecordingSink implements ResponseSink {
  /** The events in order: "head 200", "data", "last", "trailers", "reset h2_reset". Equal neighbours are written once. */
  readonly events: string[] = [];
  response: ResponseHead | undefined;
  trailerFields: HeaderField[] | undefined;
  error: ProxyError | undefined;
  bytes = 0;
  credited = 0;
  /** Bytes that no credit was given for. */
  held = 0;
  holding = false;
  source: Sink | undefined;
  text = "";
  /** Whether `text` collects the body: off for large ones. */
  collect = true;
  /** Called after each event. */
  onEvent: ((event: string) => void) | undefined;
  readonly #hash: Hash = createHash("sha256");

  get ended(): boolean {
    return this.events.includes("last") || this.events.includes("trailers");
  }

  digest(): string {
    return this.#hash.copy().digest("hex");
  }

  head(head: ResponseHead, last: boolean): void {
    this.response = head;
    this.#note(`head ${head.status}`);
    if (last) this.#note("last");
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    const range = buffer.subarray(start, end);
    this.#hash.update(range);
    this.bytes += range.length;
    if (this.collect) this.text += range.toString("latin1");
    if (range.length > 0) this.#note("data");
    if (last) this.#note("last");
    this.held += range.length;
    if (!this.holding) this.release();
  }

  /** Gives credit for all that is held. */
  release(): void {
    const { held } = this;
    this.held = 0;
    if (held > 0) this.source?.credit(held);
  }

  trailers(fields: HeaderField[]): void {
    this.trailerFields = fields;
    this.#note("trailers");
  }

  reset(error: ProxyError): void {
    this.error = error;
    this.#note(`reset ${error.code}`);
  }

  credit(bytes: number): void {
    this.credited += bytes;
    this.onEvent?.("credit");
  }

  #note(event: string): void {
    if (this.events[this.events.length - 1] !== event || event !== "data") this.events.push(event);
    this.onEvent?.(event);
  }
}

/** One request as a scripted service saw it. */
export interface ServedRequest {
  readonly head: RequestHead;
  readonly last: boolean;
  readonly request: RecordingSink;
  readonly response: ResponseSink;
}

/** A service that records what it is asked; `answer` runs during the call. */
export class ScriptedService implements HttpService {
  readonly requests: ServedRequest[] = [];
  answer: ((served: ServedRequest) => void) | undefined;

  constructor(answer?: (served: ServedRequest) => void) {
    this.answer = answer;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const request = new RecordingSink();
    request.source = response;
    const served = { head, last, request, response };
    this.requests.push(served);
    this.answer?.(served);
    return request;
  }

  /** The request of that number, from 0. */
  at(i: number): ServedRequest {
    const served = this.requests[i];
    if (served === undefined) throw new Error(`request ${i} never came; there were ${this.requests.length}`);
    return served;
  }
}

/** A body that is sent as credit allows: at most `window` bytes are uncredited, as a receive window would have it. */
export class BodySource {
  readonly #body: Buffer;
  readonly #window: number;
  readonly #piece: number;
  #sent = 0;
  #uncredited = 0;
  #sink: Sink | undefined;
  #sending = false;

  constructor(body: Buffer, window: number, piece: number) {
    this.#body = body;
    this.#window = window;
    this.#piece = piece;
  }

  get mostQueued(): number {
    return this.#window;
  }

  start(sink: Sink): void {
    this.#sink = sink;
    this.#send();
  }

  credit(bytes: number): void {
    this.#uncredited -= bytes;
    if (this.#uncredited < 0) throw new Error("more credit than bytes");
    this.#send();
  }

  #send(): void {
    // Credit comes while data is being sent: a loop, not recursion.
    if (this.#sending || this.#sink === undefined) return;
    this.#sending = true;
    while (this.#sent < this.#body.length && this.#uncredited < this.#window) {
      const length = Math.min(this.#piece, this.#body.length - this.#sent, this.#window - this.#uncredited);
      this.#uncredited += length;
      const scratch = Buffer.from(this.#body.subarray(this.#sent, this.#sent + length));
      this.#sent += length;
      this.#sink.data(scratch, 0, length, this.#sent === this.#body.length);
      // Whoever keeps the range instead of its bytes is found out.
      scratch.fill(0xdb);
    }
    this.#sending = false;
  }
}

/** Reproducible bytes without a pattern that a shift could hide. */
export function bodyOf(length: number): Buffer {
  const body = Buffer.allocUnsafe(length);
  let state = 12345;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    body[i] = state >>> 24;
  }
  return body;
}

export function sha256(body: Buffer): string {
  return createHash("sha256").update(body).digest("hex");
}
