import type { ProxyError } from "../errors/proxy-error.ts";
import { stopwatchNs, wallMs } from "../time/clock.ts";
import { headerName, NameRole, type HeaderField } from "../wire/header-field.ts";
import {
  formatAccessLog,
  type AccessLogFormat,
  type LoggedRequest,
  type LoggedResponse,
} from "./access-log-line.ts";
import type { HttpService, RequestHead, ResponseHead, ResponseSink, Sink } from "./message.ts";
import { PassingResponse } from "./passing-response.ts";

/** Where the access log goes, and how it looks. */
export interface AccessLogOutput {
  readonly format: AccessLogFormat;
  /** Takes whole lines with their line end. */
  readonly write: (line: string) => void;
}

/**
 * Writes a line for every request of one connection, once its response head is there, or once it is clear that none will
 * come. Outermost: it tells what the client sent, before anybody changed it, and what the client got, whoever made it.
 *
 * Source: linkerd2-proxy, linkerd/http/access-log/src/lib.rs.
 */
export class AccessLog implements HttpService {
  readonly #inner: HttpService;
  readonly #output: AccessLogOutput;
  readonly #clientAddr: string;
  readonly #clientId: string;

  /** @param clientId verified; undefined for a client that is not meshed. */
  constructor(inner: HttpService, output: AccessLogOutput, clientAddr: string, clientId: string | undefined) {
    this.#inner = inner;
    this.#output = output;
    this.#clientAddr = clientAddr;
    this.#clientId = clientId ?? "-";
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const startedNs = stopwatchNs();
    const logged = new LoggedExchange(this.#output, this.#seen(head), startedNs, response);
    const request = this.#inner.call(head, last, logged);
    logged.processingNs = stopwatchNs() - startedNs;
    return new LoggedRequestSink(logged, request);
  }

  /** What the line will say, read now: layers below change the head in place. */
  #seen({ method, version, fields, ...head }: RequestHead): LoggedRequest {
    let host: string | undefined;
    let requestBytes: string | undefined;
    let userAgent: string | undefined;
    let b3: string | undefined;
    let requestId: string | undefined;
    let amazon: string | undefined;
    for (const { name, value } of fields) {
      if (name.role === NameRole.host) host ??= value;
      else if (name.role === NameRole.contentLength) requestBytes ??= value;
      else if (name === USER_AGENT) userAgent ??= value;
      else if (name === B3_TRACE_ID) b3 ??= value;
      else if (name === REQUEST_ID) requestId ??= value;
      else if (name === AMAZON_TRACE_ID) amazon ??= value;
    }
    return {
      timestamp: new Date(wallMs()).toISOString(),
      clientAddr: this.#clientAddr,
      clientId: this.#clientId,
      method: method.value,
      uri: uriOf(head),
      version,
      host: host ?? "",
      userAgent: userAgent ?? "",
      traceId: b3 ?? requestId ?? amazon ?? "",
      requestBytes: requestBytes ?? "",
    };
  }
}

function uriOf({ scheme, authority, path }: Pick<RequestHead, "scheme" | "authority" | "path">): string {
  if (authority === undefined || path === undefined) return path?.value ?? authority?.value ?? "";
  return `${scheme?.value ?? "http"}://${authority.value}${path.value}`;
}

class LoggedExchange extends PassingResponse {
  readonly #output: AccessLogOutput;
  readonly #request: LoggedRequest;
  readonly #startedNs: number;
  /** Undefined while the services below are being called. */
  processingNs: number | undefined = undefined;
  #written = false;

  constructor(output: AccessLogOutput, request: LoggedRequest, startedNs: number, response: ResponseSink) {
    super(response);
    this.#output = output;
    this.#request = request;
    this.#startedNs = startedNs;
  }

  override head(head: ResponseHead, last: boolean): void {
    const totalNs = stopwatchNs() - this.#startedNs;
    this.#write({
      status: head.status,
      responseBytes: contentLengthOf(head.fields),
      totalNs,
      processingNs: this.processingNs ?? totalNs,
    });
    this.response.head(head, last);
  }

  override reset(error: ProxyError): void {
    this.over();
    this.response.reset(error);
  }

  /** There will be no response any more. */
  over(): void {
    this.#write(undefined);
  }

  #write(response: LoggedResponse | undefined): void {
    if (this.#written) return;
    this.#written = true;
    this.#output.write(formatAccessLog(this.#output.format, this.#request, response));
  }
}

class LoggedRequestSink implements Sink {
  readonly #exchange: LoggedExchange;
  readonly #inner: Sink;

  constructor(exchange: LoggedExchange, inner: Sink) {
    this.#exchange = exchange;
    this.#inner = inner;
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.#inner.data(buffer, start, end, last);
  }
  trailers(fields: HeaderField[]): void {
    this.#inner.trailers(fields);
  }
  reset(error: ProxyError): void {
    this.#exchange.over();
    this.#inner.reset(error);
  }
  credit(bytes: number): void {
    this.#inner.credit(bytes);
  }
}

function contentLengthOf(fields: readonly HeaderField[]): string | undefined {
  for (const { name, value } of fields) if (name.role === NameRole.contentLength) return value;
  return undefined;
}

const USER_AGENT = headerName("user-agent");
const B3_TRACE_ID = headerName("x-b3-traceid");
const REQUEST_ID = headerName("x-request-id");
const AMAZON_TRACE_ID = headerName("x-amzn-trace-id");
