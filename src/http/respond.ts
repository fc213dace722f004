import type { ErrorCode, ProxyError } from "../errors/proxy-error.ts";
import {
  GRPC_CONTENT_TYPE,
  GRPC_MESSAGE,
  GRPC_STATUS,
  L5D_PROXY_CONNECTION,
  L5D_PROXY_ERROR,
} from "../headers.ts";
import { encodeGrpcMessage } from "../wire/grpc-message.ts";
import { findField, headerField, headerName, internField, type HeaderField } from "../wire/header-field.ts";
import { dateField } from "./date.ts";
import {
  DiscardSink,
  ResponseHead,
  statusField,
  type HttpService,
  type HttpVersion,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "./message.ts";
import { PassingResponse } from "./passing-response.ts";

/**
 * What becomes of an error at the edge of a stack.
 *
 * `respond` makes a response; `close` then also ends the client's connection gracefully. `reset` lets the failure
 * through as it is: the same RST_STREAM code towards HTTP/2, a closed connection towards HTTP/1.
 */
export type Rescue = Responding | { readonly kind: "reset" };

export interface Responding {
  readonly kind: "respond";
  readonly status: number;
  readonly grpcStatus: number;
  readonly close: boolean;
}

/** One row of a rescue table. */
export interface RescueRow {
  readonly code: ErrorCode;
  readonly rescue: Rescue;
  /** The row is about what kept a response from coming; the same inside of a body is an error without a row. */
  readonly onlyBeforeHead?: true;
}

export function respondWith(status: number, grpcStatus: number, connection: "close" | "keep"): Responding {
  return { kind: "respond", status, grpcStatus, close: connection === "close" };
}

/** For errors without a row: the message does not leave the proxy. */
const UNEXPECTED: Rescue = respondWith(500, 13, "close");
const UNEXPECTED_MESSAGE = "unexpected error";

export interface RescueOptions {
  readonly table: readonly RescueRow[];
  /** Rows that are missing pass the error on (an inner edge), or become 500 (the outermost edge). */
  readonly outermost: boolean;
  /** Whether the client may read why: `l5d-proxy-error`, `l5d-proxy-connection`, `grpc-message`. */
  readonly informationalHeaders: boolean;
  /** Stands before every message: who and what the connection is about. */
  readonly prefix?: string;
  /** Whether responses over HTTP/2 get a date, as our HTTP/1 servers give it to every response. Default: no. */
  readonly dated?: boolean;
  /** Told of each error that ends a request here, once. */
  readonly onError: (error: ProxyError) => void;
}

/**
 * The layer in which errors become responses; one per edge of a stack.
 *
 * Source: linkerd2-proxy, linkerd/app/core/src/errors/respond.rs.
 */
export class RescueService implements HttpService {
  readonly #inner: HttpService;
  readonly #edge: Edge;

  constructor(inner: HttpService, options: RescueOptions) {
    this.#inner = inner;
    this.#edge = { options, rows: new Map(options.table.map((row) => [row.code, row])) };
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    // Read now: layers below change the head in place.
    const rescue = new RescueSink(this.#edge, head.version, isGrpcRequest(head), response);
    const request = this.#inner.call(head, last, rescue);
    // A request without a body has nothing left that could go to the wrong place.
    return last ? request : new RescuedRequest(rescue, request, new DiscardSink(response));
  }
}

/**
 * The rest of a request whose response may come from here: it is then dropped, with credit. The service that failed does
 * not listen any more, and a client that is left without credit would never come to the end of its request.
 */
class RescuedRequest implements Sink {
  readonly #rescue: RescueSink;
  readonly #request: Sink;
  readonly #discard: Sink;

  constructor(rescue: RescueSink, request: Sink, discard: Sink) {
    this.#rescue = rescue;
    this.#request = request;
    this.#discard = discard;
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (this.#rescue.answered) return this.#discard.data(buffer, start, end, last);
    this.#rescue.uncredited += end - start;
    this.#request.data(buffer, start, end, last);
  }
  trailers(fields: HeaderField[]): void {
    if (!this.#rescue.answered) this.#request.trailers(fields);
  }
  reset(error: ProxyError): void {
    if (!this.#rescue.answered) this.#request.reset(error);
  }
  credit(bytes: number): void {
    if (!this.#rescue.answered) this.#request.credit(bytes);
  }
}

interface Edge {
  readonly options: RescueOptions;
  readonly rows: ReadonlyMap<ErrorCode, RescueRow>;
}

class RescueSink extends PassingResponse {
  readonly #edge: Edge;
  readonly #version: HttpVersion;
  readonly #grpc: boolean;
  #started = false;
  /** The response, or the end of it, came from here: the service below has failed and is out of the exchange. */
  answered = false;
  /** Bytes of the request that the service below was given and has not given credit for. */
  uncredited = 0;

  constructor(edge: Edge, version: HttpVersion, grpc: boolean, response: ResponseSink) {
    super(response);
    this.#edge = edge;
    this.#version = version;
    this.#grpc = grpc;
  }

  override head(head: ResponseHead, last: boolean): void {
    this.#started = true;
    this.response.head(head, last);
  }
  override credit(bytes: number): void {
    if (this.answered) return;
    this.uncredited -= bytes;
    this.response.credit(bytes);
  }

  override reset(error: ProxyError): void {
    const { options, rows } = this.#edge;
    const row = rows.get(error.code);
    const holds = row !== undefined && !(this.#started && row.onlyBeforeHead === true);
    const rescue = holds ? row.rescue : options.outermost ? UNEXPECTED : undefined;
    if (rescue === undefined) return this.response.reset(error);
    options.onError(error);
    if (rescue.kind === "reset") return this.response.reset(error);
    const told = options.prefix === undefined ? error.message : `${options.prefix}: ${error.message}`;
    const message = rescue === UNEXPECTED ? UNEXPECTED_MESSAGE : told;
    this.answered = true;
    if (this.#started) this.#endBody(error, rescue.grpcStatus, message);
    else this.response.head(this.#errorHead(error, rescue, message), true);
    if (this.uncredited > 0) this.response.credit(this.uncredited);
  }

  /** A gRPC client expects a status even from a body that broke off; everyone else must see that it broke off. */
  #endBody(error: ProxyError, grpcStatus: number, message: string): void {
    if (!this.#grpc) return this.response.reset(error);
    const fields = [grpcStatusField(grpcStatus)];
    if (this.#edge.options.informationalHeaders) fields.push(grpcMessageField(message));
    this.response.trailers(fields);
  }

  #errorHead(
    error: ProxyError,
    rescue: { status: number; grpcStatus: number; close: boolean },
    message: string,
  ): ResponseHead {
    const informational = this.#edge.options.informationalHeaders;
    const fields: HeaderField[] = [NO_CONTENT];
    const status = this.#grpc ? 200 : (error.detail.status ?? rescue.status);
    if (this.#grpc) {
      fields.push(CONTENT_TYPE_GRPC, grpcStatusField(error.detail.grpcStatus ?? rescue.grpcStatus));
      if (informational) fields.push(grpcMessageField(message));
    } else if (error.detail.location !== undefined) {
      fields.push(headerField(LOCATION, error.detail.location));
    }
    if (informational) {
      fields.push(headerField(PROXY_ERROR, headerSafe(message)));
      if (rescue.close) fields.push(PROXY_CONNECTION_CLOSE);
    }
    if (this.#edge.options.dated === true && this.#version === 20) fields.push(dateField());
    const head = new ResponseHead(this.#version, status, statusField(status), fields);
    head.closeConnection = rescue.close;
    return head;
  }
}

/** gRPC as the edges recognise it: HTTP/2 with a content type that starts with `application/grpc`. */
export function isGrpcRequest(head: RequestHead): boolean {
  if (head.version !== 20) return false;
  return findField(head.fields, CONTENT_TYPE)?.value.startsWith(GRPC_CONTENT_TYPE) === true;
}

/** Text that may stand in a header value, or the general message where it may not. */
function headerSafe(text: string): string {
  return /^[\t\x20-\x7e]*$/.test(text) ? text : UNEXPECTED_MESSAGE;
}

function grpcStatusField(status: number): HeaderField {
  return internField(GRPC_STATUS_NAME, String(status));
}
function grpcMessageField(message: string): HeaderField {
  return headerField(GRPC_MESSAGE_NAME, encodeGrpcMessage(message));
}

const CONTENT_TYPE = headerName("content-type");
const GRPC_STATUS_NAME = headerName(GRPC_STATUS);
const GRPC_MESSAGE_NAME = headerName(GRPC_MESSAGE);
const LOCATION = headerName("location");
const PROXY_ERROR = headerName(L5D_PROXY_ERROR);
const NO_CONTENT = internField(headerName("content-length"), "0");
const CONTENT_TYPE_GRPC = internField(CONTENT_TYPE, GRPC_CONTENT_TYPE);
const PROXY_CONNECTION_CLOSE = internField(headerName(L5D_PROXY_CONNECTION), "close");
