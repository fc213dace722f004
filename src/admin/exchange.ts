import { ProxyError } from "../errors/proxy-error.ts";
import {
  ResponseHead,
  statusField,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../http/message.ts";
import { headerField, headerName } from "../wire/header-field.ts";
import { BODY_MAX, empty, type AdminRequest, type AdminResponse } from "./response.ts";

/** Bytes of a response that may be on their way before the client has taken them: a page is made no faster than it is read. */
const SEND_WINDOW = 64 * 1024;

const CONTENT_LENGTH = headerName("content-length");

/** Answers one request. A failure is an answer too: it never rejects. */
export type AdminHandler = (request: AdminRequest) => AdminResponse | Promise<AdminResponse>;

/**
 * One request and its answer over the waist: gathers a small body, sends a body of any size under credit, and stops making
 * it when the client goes away.
 */
export class Exchange implements Sink, AdminRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string | undefined;
  readonly local: boolean;
  readonly #head: RequestHead;
  readonly #response: ResponseSink;
  readonly #chunks: Buffer[] = [];
  #bodyBytes = 0;
  #bodyWaiter: ((body: Buffer | undefined) => void) | undefined;
  #window = SEND_WINDOW;
  #windowWaiter: (() => void) | undefined;
  #requestEnded: boolean;
  #gone = false;

  constructor(head: RequestHead, last: boolean, local: boolean, response: ResponseSink) {
    const target = head.path?.value ?? "";
    const mark = target.indexOf("?");
    this.method = head.method.value;
    this.path = mark < 0 ? target : target.slice(0, mark);
    this.query = mark < 0 ? undefined : target.slice(mark + 1);
    this.local = local;
    this.#head = head;
    this.#response = response;
    this.#requestEnded = last;
  }

  header(name: string): readonly string[] {
    const wanted = headerName(name);
    return this.#head.fields.filter((f) => f.name === wanted || f.name.text === name).map((f) => f.value);
  }

  body(): Promise<Buffer | undefined> {
    if (this.#requestEnded) return Promise.resolve(this.#gathered());
    return new Promise((resolve) => (this.#bodyWaiter = resolve));
  }

  /** Runs the handler and sends its answer. */
  async answer(handle: AdminHandler): Promise<void> {
    try {
      await this.#send(await handle(this));
    } catch (error) {
      // Only making a body piece by piece can fail here, after the head has gone out.
      if (!this.#gone)
        this.#response.reset(
          new ProxyError("unexpected", "making an admin response failed", { cause: error }),
        );
      this.#gone = true;
    }
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    const size = end - start;
    if (this.#bodyBytes <= BODY_MAX) {
      // Beyond the bound nothing is kept, but the sum stays above it: the body is then known to be too large.
      if (this.#bodyBytes + size <= BODY_MAX) this.#chunks.push(Buffer.from(buffer.subarray(start, end)));
      else this.#chunks.length = 0;
      this.#bodyBytes += size;
    }
    if (size > 0 && !this.#gone) this.#response.credit(size);
    if (last) this.#endRequest();
  }

  trailers(): void {
    this.#endRequest();
  }

  reset(): void {
    this.#gone = true;
    this.#endRequest();
    this.#wake();
  }

  credit(bytes: number): void {
    this.#window += bytes;
    this.#wake();
  }

  #endRequest(): void {
    this.#requestEnded = true;
    const waiter = this.#bodyWaiter;
    this.#bodyWaiter = undefined;
    waiter?.(this.#gathered());
  }

  #gathered(): Buffer | undefined {
    return this.#bodyBytes > BODY_MAX ? undefined : Buffer.concat(this.#chunks);
  }

  #wake(): void {
    const waiter = this.#windowWaiter;
    this.#windowWaiter = undefined;
    waiter?.();
  }

  async #send(answer: AdminResponse): Promise<void> {
    const { body } = answer;
    const headOnly = this.method === "HEAD";
    if (Buffer.isBuffer(body)) {
      this.#sendHead(answer, body.length, headOnly || body.length === 0);
      if (!headOnly && body.length > 0) await this.#sendPiece(body, true);
    } else if (headOnly) {
      this.#sendHead(answer, undefined, true);
    } else {
      await this.#sendPieces(answer, body);
    }
    answer.after?.();
  }

  /** The first piece is made before the head goes out, so that a failure to begin is still a 500. */
  async #sendPieces(answer: AdminResponse, body: AsyncIterable<Buffer>): Promise<void> {
    const pieces = body[Symbol.asyncIterator]();
    let next: IteratorResult<Buffer, unknown>;
    try {
      next = await pieces.next();
    } catch {
      return this.#send(empty(500));
    }
    this.#sendHead(answer, undefined, false);
    try {
      while (next.done !== true && !this.#gone) {
        await this.#sendPiece(next.value, false);
        next = await pieces.next();
      }
      if (!this.#gone) this.#response.data(EMPTY, 0, 0, true);
    } finally {
      await pieces.return?.();
    }
  }

  #sendHead(answer: AdminResponse, length: number | undefined, last: boolean): void {
    if (this.#gone) return;
    const fields = [...answer.fields];
    if (length !== undefined) fields.push(headerField(CONTENT_LENGTH, String(length)));
    const { version } = this.#head;
    this.#response.head(new ResponseHead(version, answer.status, statusField(answer.status), fields), last);
  }

  async #sendPiece(piece: Buffer, last: boolean): Promise<void> {
    let at = 0;
    while (at < piece.length && !this.#gone) {
      if (this.#window <= 0) {
        await new Promise<void>((resolve) => (this.#windowWaiter = resolve));
        continue;
      }
      const end = Math.min(piece.length, at + this.#window);
      this.#window -= end - at;
      const start = at;
      at = end;
      this.#response.data(piece, start, end, last && end === piece.length);
    }
  }
}

const EMPTY = Buffer.alloc(0);
