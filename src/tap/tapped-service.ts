import type { ProxyError } from "../errors/proxy-error.ts";
import { GRPC_STATUS } from "../headers.ts";
import type { HttpService, RequestHead, ResponseHead, ResponseSink, Sink } from "../http/message.ts";
import { ObservedExchange } from "../http/observed-exchange.ts";
import { findField, headerName, type HeaderField } from "../wire/header-field.ts";
import type { TapEnd } from "./event.ts";
import type { TapPoint } from "./point.ts";
import type { TapRegistry } from "./registry.ts";
import type { TapStream } from "./tap.ts";

/**
 * Shows requests to whoever taps. While nobody does it asks one question and hands the request on as it is; requests that
 * no tap asks for pass untouched as well.
 *
 * Source: linkerd2-proxy, linkerd/proxy/tap/src/service.rs.
 */
export class TappedService implements HttpService {
  readonly #taps: TapRegistry;
  readonly #point: TapPoint;
  readonly #inner: HttpService;

  constructor(taps: TapRegistry, point: TapPoint, inner: HttpService) {
    this.#taps = taps;
    this.#point = point;
    this.#inner = inner;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    if (!this.#taps.active) return this.#inner.call(head, last, response);
    const streams = this.#taps.begin(this.#point, head);
    if (streams === undefined) return this.#inner.call(head, last, response);
    return new TappedExchange(streams, this.#taps.nowMs, head, response).start(this.#inner, head, last);
  }
}

/** Tells the taps of a request what becomes of it. */
class TappedExchange extends ObservedExchange {
  readonly #streams: readonly TapStream[];
  readonly #nowMs: () => number;
  readonly #requestAtMs: number;
  readonly #isConnect: boolean;
  #responseAtMs: number | undefined = undefined;
  #responseBytes = 0;
  #grpcStatus: number | undefined = undefined;
  #trailers: readonly HeaderField[] | undefined = undefined;
  #ended = false;

  constructor(streams: readonly TapStream[], nowMs: () => number, head: RequestHead, response: ResponseSink) {
    super(response);
    this.#streams = streams;
    this.#nowMs = nowMs;
    this.#requestAtMs = nowMs();
    this.#isConnect = head.method.value === "CONNECT";
  }

  override data(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.#responseBytes += end - start;
    super.data(buffer, start, end, last);
  }

  protected override onHead(head: ResponseHead): void {
    const nowMs = this.#nowMs();
    this.#responseAtMs = nowMs;
    this.#grpcStatus = grpcStatusOf(head.fields);
    for (const stream of this.#streams) {
      stream.tell({
        kind: "response_init",
        sinceRequestMs: nowMs - this.#requestAtMs,
        status: head.status,
        headers: stream.headers ? headersOf(head) : undefined,
      });
    }
    // What a tunnel carries is no response body, and may go on for days.
    if (head.status === 101 || (this.#isConnect && head.status >= 200 && head.status < 300)) {
      this.#end({ kind: "plain" });
    }
  }

  protected override onFirstByte(): void {}

  protected override onTrailers(fields: readonly HeaderField[]): void {
    this.#trailers = fields.slice();
    this.#grpcStatus = grpcStatusOf(fields) ?? this.#grpcStatus;
  }

  protected override onEnd(error: ProxyError | undefined): void {
    this.#end(endOf(error, this.#grpcStatus));
  }

  #end(end: TapEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    const nowMs = this.#nowMs();
    for (const stream of this.#streams) {
      stream.tell({
        kind: "response_end",
        sinceRequestMs: nowMs - this.#requestAtMs,
        sinceResponseMs: this.#responseAtMs === undefined ? undefined : nowMs - this.#responseAtMs,
        responseBytes: this.#responseBytes,
        end,
        trailers: stream.headers ? this.#trailers : undefined,
      });
    }
  }
}

function endOf(error: ProxyError | undefined, grpcStatus: number | undefined): TapEnd {
  if (error !== undefined) {
    const { h2Code } = error.detail;
    return h2Code === undefined ? { kind: "plain" } : { kind: "reset", code: h2Code };
  }
  return grpcStatus === undefined ? { kind: "plain" } : { kind: "grpc", status: grpcStatus };
}

/** A copy: layers above change the fields in place. */
function headersOf(head: ResponseHead): readonly HeaderField[] {
  return head.version === 20 ? [head.statusField, ...head.fields] : head.fields.slice();
}

/** Any number of 32 bits, as it was sent: an observer wants to see what is wrong. */
function grpcStatusOf(fields: readonly HeaderField[]): number | undefined {
  const text = findField(fields, GRPC_STATUS_NAME)?.value;
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const status = Number(text);
  return status <= 0xffff_ffff ? status : undefined;
}

const GRPC_STATUS_NAME = headerName(GRPC_STATUS);
