/** HTTP/1.1 of the load process, as much of it as its own two ends need: lengths, no chunks. */
import { BodyConnection } from "./body-connection.ts";
import type { Poller } from "./poller.ts";
import type { SerialClient, Waiter } from "./serial-lane.ts";

const HEAD_END = Buffer.from("\r\n\r\n");

/** Reads messages and writes them: what both ends share. */
abstract class Http1Connection extends BodyConnection {
  /** Bytes of the body under way that have not come. */
  #missing = 0;

  /** A head without its body. @returns the length of the body, or undefined if it makes no sense. */
  protected abstract onHead(head: string): number | undefined;
  protected abstract onMessageEnd(): void;
  protected onBody(_bytes: number): void {}

  protected writeMessage(head: string, bodyBytes: number): void {
    this.room(head.length);
    this.length += this.output.write(head, this.length, "latin1");
    this.writeBody(bodyBytes);
  }

  protected consume(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && !this.closed) {
      if (this.#missing > 0) {
        const bytes = Math.min(this.#missing, end - at);
        at += bytes;
        this.#missing -= bytes;
        this.onBody(bytes);
        if (this.#missing === 0) this.onMessageEnd();
        continue;
      }
      const headEnd = buffer.indexOf(HEAD_END, at);
      if (headEnd < 0 || headEnd >= end) return at;
      const length = this.onHead(buffer.toString("latin1", at, headEnd + 2));
      at = headEnd + HEAD_END.length;
      if (length === undefined) {
        this.close();
        this.onGone();
        return at;
      }
      this.#missing = length;
      if (length === 0) this.onMessageEnd();
    }
    return at;
  }
}

const CONTENT_LENGTH = /\r\ncontent-length: *(\d+)\r\n/i;

function contentLength(head: string): number | undefined {
  const text = CONTENT_LENGTH.exec(head)?.[1];
  return text === undefined ? undefined : Number(text);
}

/** The application: answers with as many bytes as the path asks for. */
export class Http1Application extends Http1Connection {
  #responseBytes = 0;

  protected onHead(head: string): number | undefined {
    const path = head.slice(head.indexOf(" ") + 1, head.indexOf(" HTTP/"));
    this.#responseBytes = bytesOfPath(path);
    return contentLength(head) ?? 0;
  }

  protected onMessageEnd(): void {
    const bytes = this.#responseBytes;
    this.writeMessage(
      `HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: application/octet-stream\r\ncontent-length: ${bytes}\r\nx-served: bench\r\n\r\n`,
      bytes,
    );
  }

  protected onGone(): void {}
}

/** What every request of a client says. */
export interface Http1Request {
  readonly authority: string;
  /** 0: a GET without a body. */
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** A client connection: one request at a time. */
export class Http1Client extends Http1Connection implements SerialClient {
  /** Bytes of response bodies so far. */
  bodyBytes = 0;
  readonly #waiter: Waiter;
  readonly #head: string;
  readonly #requestBytes: number;
  readonly #responseBytes: number;
  #ok = false;

  constructor(
    poller: Poller,
    fd: number,
    { authority, requestBytes, responseBytes }: Http1Request,
    waiter: Waiter,
  ) {
    super(poller, fd);
    this.#waiter = waiter;
    this.#requestBytes = requestBytes;
    this.#responseBytes = responseBytes;
    const length = requestBytes === 0 ? "" : `content-length: ${requestBytes}\r\n`;
    this.#head = `${requestBytes === 0 ? "GET" : "POST"} ${pathOfBytes(responseBytes)} HTTP/1.1\r\nHost: ${authority}\r\nUser-Agent: outrigger-bench/1\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nX-Env: production\r\n${length}X-Request-Id: `;
  }

  /** @param id differs in each request, as real clients' do. */
  request(id: string): void {
    this.writeMessage(`${this.#head}${id}\r\n\r\n`, this.#requestBytes);
  }

  protected onHead(head: string): number | undefined {
    const length = contentLength(head);
    this.#ok = length === this.#responseBytes && head.startsWith("HTTP/1.1 200");
    return length;
  }

  protected override onBody(bytes: number): void {
    this.bodyBytes += bytes;
  }

  protected onMessageEnd(): void {
    this.#waiter.onResponse(this.#ok);
  }

  protected onGone(): void {
    this.#waiter.onGone();
  }
}

/** `/bytes/1024` asks for a body of 1,024 bytes. */
export function pathOfBytes(bytes: number): string {
  return `/bytes/${bytes}`;
}

export function bytesOfPath(path: string): number {
  return Number(path.slice(path.lastIndexOf("/") + 1)) || 0;
}
