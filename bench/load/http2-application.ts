import type { HeaderField } from "../../src/wire/header-field.ts";
import { headerField, headerName } from "../../src/wire/header-field.ts";
import { MessageReader } from "./grpc-messages.ts";
import { bytesOfPath } from "./http1.ts";
import { field, Http2Connection, messageBody, plainBody } from "./http2.ts";
import type { Poller } from "./poller.ts";

const OK = field(":status", "200");
const SERVED = field("x-served", "bench");
const PLAIN = [OK, field("content-type", "application/octet-stream"), SERVED];
const GRPC = [OK, field("content-type", "application/grpc"), SERVED];
const GRPC_OK = [field("grpc-status", "0")];
/** What it could not read. */
const GRPC_INTERNAL = [field("grpc-status", "13")];
const CONTENT_LENGTH = headerName("content-length");

const STREAM_PATH = "/stream/";

/** `/stream/1024` asks for a message of 1,024 bytes for each message. */
export function pathOfStream(messageBytes: number): string {
  return `${STREAM_PATH}${messageBytes}`;
}

type Asked =
  | { readonly kind: "plain" | "unary"; readonly bytes: number }
  | { readonly kind: "stream"; readonly bytes: number; readonly reader: MessageReader; answered: boolean };

/**
 * The application on HTTP/2: answers with as many bytes as the path asks for, to gRPC with one message of that size, to a
 * stream of gRPC with one for each message, as soon as that is complete.
 */
export class Http2Application extends Http2Connection {
  readonly #asked = new Map<number, Asked>();

  constructor(poller: Poller, fd: number) {
    super(poller, fd, "server");
  }

  protected onHead(id: number, fields: readonly HeaderField[]): void {
    let path = "";
    let grpc = false;
    for (const { name, value } of fields) {
      if (name.text === ":path") path = value;
      else if (name.text === "content-type") grpc = value === "application/grpc";
    }
    const bytes = bytesOfPath(path);
    if (grpc && path.startsWith(STREAM_PATH)) {
      this.#asked.set(id, { kind: "stream", bytes, reader: new MessageReader(undefined), answered: false });
    } else {
      this.#asked.set(id, { kind: grpc ? "unary" : "plain", bytes });
    }
  }

  protected override onBody(id: number, buffer: Buffer, start: number, end: number): void {
    const asked = this.#asked.get(id);
    if (asked?.kind !== "stream") return;
    for (let messages = asked.reader.read(buffer, start, end); messages > 0; messages--) {
      // The head goes with the first message, as real servers send it.
      if (!asked.answered) this.openStream(id, GRPC, messageBody(asked.bytes));
      asked.answered = true;
      this.writeMessage(id, false);
    }
  }

  protected onStreamEnd(id: number): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    this.#asked.delete(id);
    const { bytes } = asked;
    switch (asked.kind) {
      case "plain":
        this.send(id, [...PLAIN, headerField(CONTENT_LENGTH, String(bytes))], plainBody(bytes));
        break;
      case "unary":
        this.send(id, GRPC, messageBody(bytes), GRPC_OK);
        break;
      case "stream": {
        const trailers = asked.reader.broken || asked.reader.within ? GRPC_INTERNAL : GRPC_OK;
        if (asked.answered) this.finishStream(id, trailers);
        else this.send(id, [...GRPC, ...trailers]);
        break;
      }
    }
  }

  protected onStreamReset(id: number): void {
    this.#asked.delete(id);
  }

  protected onGone(): void {}
}
