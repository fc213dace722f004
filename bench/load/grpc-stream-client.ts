import { headerField, type HeaderField } from "../../src/wire/header-field.ts";
import { MessageReader } from "./grpc-messages.ts";
import { pathOfStream } from "./http2-application.ts";
import { REQUEST_ID, requestFields, type Http2Request } from "./http2-client.ts";
import { Http2Connection, messageBody, type Body } from "./http2.ts";
import type { Poller } from "./poller.ts";

export interface StreamWaiter {
  onMessage(stream: number, ok: boolean): void;
  /** @param ok it ended in order; whether messages are missing is for the waiter to know. */
  onStreamEnd(stream: number, ok: boolean): void;
  onGone(): void;
}

/** The answering half of a stream. */
interface Answers {
  readonly reader: MessageReader;
  status: string;
  grpcStatus: string;
}

/** A client connection with streams of messages both ways. */
export class GrpcStreamClient extends Http2Connection {
  /** Bytes of response bodies so far. */
  bodyBytes = 0;
  readonly #waiter: StreamWaiter;
  readonly #fields: readonly HeaderField[];
  readonly #message: Body;
  readonly #responseBytes: number;
  readonly #answers = new Map<number, Answers>();
  #nextId = 1;

  constructor(poller: Poller, fd: number, request: Omit<Http2Request, "grpc">, waiter: StreamWaiter) {
    super(poller, fd, "client");
    const { authority, requestBytes, responseBytes } = request;
    this.#waiter = waiter;
    this.#fields = requestFields("POST", pathOfStream(responseBytes), { authority, grpc: true });
    this.#message = messageBody(requestBytes);
    this.#responseBytes = responseBytes;
  }

  /** @param id differs in each stream, as real clients' do. @returns the stream. */
  open(id: string): number {
    const stream = this.#nextId;
    this.#nextId += 2;
    this.#answers.set(stream, { reader: new MessageReader(this.#responseBytes), status: "", grpcStatus: "" });
    this.openStream(stream, [...this.#fields, headerField(REQUEST_ID, id)], this.#message);
    return stream;
  }

  /** @param last ends our half of the stream. */
  sendMessage(stream: number, last: boolean): void {
    this.writeMessage(stream, last);
  }

  protected onHead(id: number, fields: readonly HeaderField[]): void {
    const answers = this.#answers.get(id);
    if (answers === undefined) return;
    for (const { name, value } of fields) {
      if (name.text === ":status") answers.status = value;
      else if (name.text === "grpc-status") answers.grpcStatus = value;
    }
  }

  protected override onBody(id: number, buffer: Buffer, start: number, end: number): void {
    this.bodyBytes += end - start;
    const answers = this.#answers.get(id);
    if (answers === undefined) return;
    const { reader } = answers;
    for (let messages = reader.read(buffer, start, end); messages > 0 && !this.closed; messages--) {
      this.#waiter.onMessage(id, answers.status === "200" && !reader.broken);
    }
  }

  protected onStreamEnd(id: number): void {
    const answers = this.#answers.get(id);
    if (answers === undefined) return;
    this.#answers.delete(id);
    const { reader, status, grpcStatus } = answers;
    const ok = status === "200" && grpcStatus === "0" && !reader.broken && !reader.within;
    this.#waiter.onStreamEnd(id, ok);
  }

  protected onStreamReset(id: number): void {
    if (this.#answers.delete(id)) this.#waiter.onStreamEnd(id, false);
  }

  protected onGone(): void {
    this.#waiter.onGone();
  }
}
