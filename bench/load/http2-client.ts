import { headerField, headerName, type HeaderField } from "../../src/wire/header-field.ts";
import { grpcBytes } from "./grpc-messages.ts";
import { pathOfBytes } from "./http1.ts";
import { field, Http2Connection, messageBody, plainBody, type Body } from "./http2.ts";
import type { Poller } from "./poller.ts";

/** What every request of a client says. */
export interface Http2Request {
  readonly authority: string;
  /** 0: a GET without a body, unless it is gRPC. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly grpc: boolean;
}

export interface Http2Waiter {
  /** @param id as `request` returned it. */
  onResponse(id: number, ok: boolean): void;
  onGone(): void;
}

const PATH = headerName(":path");
const PATH_INDEX = 2;
export const REQUEST_ID = headerName("x-request-id");

/** The fields of a request, but for its id. */
export function requestFields(
  method: "GET" | "POST",
  path: string,
  { authority, grpc }: Pick<Http2Request, "authority" | "grpc">,
): readonly HeaderField[] {
  return [
    field(":method", method),
    field(":scheme", "http"),
    field(":path", path),
    field(":authority", authority),
    field("user-agent", "outrigger-bench/1"),
    field("accept", "*/*"),
    field("x-env", "production"),
    ...(grpc ? [field("te", "trailers"), field("content-type", "application/grpc")] : []),
  ];
}

/** A response that is under way. */
interface Response {
  /** Bytes of the body that have not come. */
  missing: number;
  /** The status is good; that of gRPC stands in its trailers. */
  good: boolean;
}

/** A client connection with any number of requests at once. */
export class Http2Client extends Http2Connection {
  /** Bytes of response bodies so far. */
  bodyBytes = 0;
  readonly #waiter: Http2Waiter;
  readonly #request: Http2Request;
  readonly #fields: readonly HeaderField[];
  readonly #body: Body | undefined;
  readonly #responses = new Map<number, Response>();
  #nextId = 1;

  constructor(poller: Poller, fd: number, request: Http2Request, waiter: Http2Waiter) {
    super(poller, fd, "client");
    this.#waiter = waiter;
    this.#request = request;
    const { requestBytes, responseBytes, grpc } = request;
    this.#fields = requestFields(
      grpc || requestBytes > 0 ? "POST" : "GET",
      pathOfBytes(responseBytes),
      request,
    );
    if (grpc) this.#body = messageBody(requestBytes);
    else if (requestBytes > 0) this.#body = plainBody(requestBytes);
  }

  /** @param id differs in each request, as real clients' do. */
  request(id: string, responseBytes: number = this.#request.responseBytes): number {
    const stream = this.#nextId;
    this.#nextId += 2;
    const fields = [...this.#fields, headerField(REQUEST_ID, id)];
    if (responseBytes !== this.#request.responseBytes) {
      fields[PATH_INDEX] = headerField(PATH, pathOfBytes(responseBytes));
    }
    const missing = this.#request.grpc ? grpcBytes(responseBytes) : responseBytes;
    this.#responses.set(stream, { missing, good: false });
    this.send(stream, fields, this.#body);
    return stream;
  }

  protected onHead(id: number, fields: readonly HeaderField[]): void {
    const response = this.#responses.get(id);
    if (response === undefined) return;
    const first = fields[0];
    if (first?.name.text === ":status") {
      response.good = first.value === "200" && !this.#request.grpc;
    } else if (this.#request.grpc) {
      response.good = fields.some(({ name, value }) => name.text === "grpc-status" && value === "0");
    }
  }

  protected override onBody(id: number, _buffer: Buffer, start: number, end: number): void {
    this.bodyBytes += end - start;
    const response = this.#responses.get(id);
    if (response !== undefined) response.missing -= end - start;
  }

  protected onStreamEnd(id: number): void {
    const response = this.#responses.get(id);
    if (response === undefined) return;
    this.#responses.delete(id);
    this.#waiter.onResponse(id, response.good && response.missing === 0);
  }

  protected onStreamReset(id: number): void {
    if (this.#responses.delete(id)) this.#waiter.onResponse(id, false);
  }

  protected onGone(): void {
    this.#waiter.onGone();
  }
}
