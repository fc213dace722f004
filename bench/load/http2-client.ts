import { headerField, headerName, type HeaderField } from "../../src/wire/header-field.ts";
import { field, grpcBytes, Http2Connection } from "./http2.ts";
import type { Poller } from "./poller.ts";

/** What every request of a client says. */
export interface Http2Request {
  readonly authority: string;
  readonly path: string;
  /** 0: a GET without a body, unless it is gRPC. */
  readonly requestBytes: number;
  readonly grpc: boolean;
}

export interface Http2Waiter {
  /** @param id as `request` returned it. */
  onResponse(id: number, ok: boolean): void;
  onGone(): void;
}

const REQUEST_ID = headerName("x-request-id");

/** A client connection with any number of requests at once. */
export class Http2Client extends Http2Connection {
  /** Bytes of response bodies so far. */
  bodyBytes = 0;
  readonly #waiter: Http2Waiter;
  readonly #request: Http2Request;
  readonly #fields: readonly HeaderField[];
  /** Streams whose status so far is good; those of gRPC must still say so in their trailers. */
  readonly #good = new Set<number>();
  #nextId = 1;

  constructor(poller: Poller, fd: number, request: Http2Request, waiter: Http2Waiter) {
    super(poller, fd, "client");
    this.#waiter = waiter;
    this.#request = request;
    const { authority, path, requestBytes, grpc } = request;
    this.#fields = [
      field(":method", grpc || requestBytes > 0 ? "POST" : "GET"),
      field(":scheme", "http"),
      field(":path", path),
      field(":authority", authority),
      field("user-agent", "outrigger-bench/1"),
      field("accept", "*/*"),
      field("x-env", "production"),
      ...(grpc ? [field("te", "trailers"), field("content-type", "application/grpc")] : []),
    ];
  }

  /** @param id differs in each request, as real clients' do. */
  request(id: string, path?: HeaderField): number {
    const stream = this.#nextId;
    this.#nextId += 2;
    const { grpc, requestBytes } = this.#request;
    const fields = [...this.#fields, headerField(REQUEST_ID, id)];
    if (path !== undefined) fields[2] = path;
    if (grpc) this.send(stream, fields, grpcBytes(requestBytes));
    else this.send(stream, fields, requestBytes === 0 ? undefined : requestBytes);
    return stream;
  }

  protected onHead(id: number, fields: readonly HeaderField[]): void {
    const first = fields[0];
    if (first?.name.text === ":status") {
      if (first.value === "200" && !this.#request.grpc) this.#good.add(id);
    } else if (fields.some(({ name, value }) => name.text === "grpc-status" && value === "0")) {
      this.#good.add(id);
    }
  }

  protected override onBody(_id: number, bytes: number): void {
    this.bodyBytes += bytes;
  }

  protected onStreamEnd(id: number): void {
    this.#waiter.onResponse(id, this.#good.delete(id));
  }

  protected onStreamReset(id: number): void {
    this.#good.delete(id);
    this.#waiter.onResponse(id, false);
  }

  protected onGone(): void {
    this.#waiter.onGone();
  }
}
