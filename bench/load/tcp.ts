/**
 * An exchange that no proxy knows: a head of twelve bytes and the payload of the request, answered by as many bytes as the
 * head asks for.
 */
import { readUint32 } from "../../src/wire/http2/frame.ts";
import { writeUint32 } from "../../src/wire/http2/frame-writer.ts";
import { BodyConnection } from "./body-connection.ts";
import type { Poller } from "./poller.ts";
import type { SerialClient, Waiter } from "./serial-lane.ts";

/**
 * What a request begins with. No text in UTF-8 has the first byte, no protocol that is told by its first bytes has it
 * either, and the line that ends right behind it is no request line: whoever detects protocols need not wait for more.
 */
const MAGIC = 0xc1fe_0d0a;
/** `MAGIC`, the length of the payload, and how many bytes are asked for. */
const HEAD_BYTES = 12;
/** What an answer begins with, and has nowhere else: an answer that is too long or too short spoils the next one. */
const ANSWER_START = 0xc1;

/** The application: answers with as many bytes as it is asked for. */
export class TcpApplication extends BodyConnection {
  /** Bytes of the payload under way that have not come. */
  #missing = 0;
  #answerBytes = 0;

  protected consume(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end) {
      if (this.#missing === 0) {
        if (end - at < HEAD_BYTES) return at;
        if (readUint32(buffer, at) !== MAGIC) {
          this.close();
          return end;
        }
        this.#missing = readUint32(buffer, at + 4);
        this.#answerBytes = readUint32(buffer, at + 8);
        at += HEAD_BYTES;
      } else {
        const bytes = Math.min(this.#missing, end - at);
        at += bytes;
        this.#missing -= bytes;
      }
      if (this.#missing === 0) this.#answer();
    }
    return at;
  }

  #answer(): void {
    this.room(1);
    this.output[this.length++] = ANSWER_START;
    this.writeBody(this.#answerBytes - 1);
  }

  protected onGone(): void {}
}

/** A client connection: one request at a time. */
export class TcpClient extends BodyConnection implements SerialClient {
  /** Bytes of answers so far. */
  bodyBytes = 0;
  readonly #waiter: Waiter;
  readonly #requestBytes: number;
  readonly #responseBytes: number;
  /** Bytes of the answer under way that have not come. */
  #missing = 0;
  #ok = false;

  /** @param size an answer has at least one byte: without any, nobody could tell when it came. */
  constructor(
    poller: Poller,
    fd: number,
    size: { readonly requestBytes: number; readonly responseBytes: number },
    waiter: Waiter,
  ) {
    super(poller, fd);
    this.#waiter = waiter;
    this.#requestBytes = size.requestBytes;
    this.#responseBytes = Math.max(1, size.responseBytes);
  }

  request(): void {
    this.#missing = this.#responseBytes;
    this.room(HEAD_BYTES);
    this.length = writeUint32(this.output, this.length, MAGIC);
    this.length = writeUint32(this.output, this.length, this.#requestBytes);
    this.length = writeUint32(this.output, this.length, this.#responseBytes);
    this.writeBody(this.#requestBytes);
  }

  protected consume(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && !this.closed) {
      if (this.#missing === 0) {
        // More than was asked for.
        this.close();
        this.onGone();
        break;
      }
      if (this.#missing === this.#responseBytes) this.#ok = buffer[at] === ANSWER_START;
      const bytes = Math.min(this.#missing, end - at);
      at += bytes;
      this.#missing -= bytes;
      this.bodyBytes += bytes;
      if (this.#missing === 0) this.#waiter.onResponse(this.#ok);
    }
    return end;
  }

  protected onGone(): void {
    this.#waiter.onGone();
  }
}
