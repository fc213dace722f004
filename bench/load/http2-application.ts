import type { HeaderField } from "../../src/wire/header-field.ts";
import { headerField, headerName } from "../../src/wire/header-field.ts";
import { bytesOfPath } from "./http1.ts";
import { field, grpcBytes, Http2Connection } from "./http2.ts";
import type { Poller } from "./poller.ts";

const OK = field(":status", "200");
const SERVED = field("x-served", "bench");
const PLAIN = [OK, field("content-type", "application/octet-stream"), SERVED];
const GRPC = [OK, field("content-type", "application/grpc"), SERVED];
const GRPC_OK = [field("grpc-status", "0")];
const CONTENT_LENGTH = headerName("content-length");

interface Asked {
  readonly bytes: number;
  readonly grpc: boolean;
}

/** The application on HTTP/2: answers with as many bytes as the path asks for, to gRPC with one message of that size. */
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
    this.#asked.set(id, { bytes: bytesOfPath(path), grpc });
  }

  protected onStreamEnd(id: number): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    this.#asked.delete(id);
    if (asked.grpc) this.send(id, GRPC, grpcBytes(asked.bytes), GRPC_OK);
    else this.send(id, [...PLAIN, headerField(CONTENT_LENGTH, String(asked.bytes))], asked.bytes);
  }

  protected onStreamReset(id: number): void {
    this.#asked.delete(id);
  }

  protected onGone(): void {}
}
