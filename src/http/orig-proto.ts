import type { ProxyError } from "../errors/proxy-error.ts";
import { L5D_ORIG_PROTO } from "../headers.ts";
import {
  findField,
  headerField,
  headerName,
  internField,
  NameRole,
  removeFields,
  type HeaderField,
} from "../wire/header-field.ts";
import {
  SCHEME_HTTP,
  type HttpService,
  type HttpVersion,
  type RequestHead,
  type ResponseHead,
  type ResponseSink,
  type Sink,
} from "./message.ts";
import { PassingResponse } from "./passing-response.ts";

/**
 * HTTP/1 carried over HTTP/2 between proxies ("orig-proto"): what the outbound side does to a request, what the inbound
 * side makes of it, and the same for the response.
 *
 * Source: linkerd2-proxy, linkerd/proxy/http/src/orig_proto.rs.
 */
const ORIG_PROTO = headerName(L5D_ORIG_PROTO);
const HOST = headerName("host");
const TRANSFER_ENCODING = headerName("transfer-encoding");
const HTTP_11 = internField(ORIG_PROTO, "HTTP/1.1");
const HTTP_10 = internField(ORIG_PROTO, "HTTP/1.0");
const HTTP_11_ABSOLUTE = internField(ORIG_PROTO, "HTTP/1.1; absolute-form");
const HTTP_10_ABSOLUTE = internField(ORIG_PROTO, "HTTP/1.0; absolute-form");
/** Where the form stands in a value: behind the version and "; ". */
const FORM_AT = 10;
const ABSOLUTE_FORM = "absolute-form";

/** Makes an HTTP/1 request an HTTP/2 one that remembers, in place. */
export function upgradeRequest(head: RequestHead): void {
  const { fields } = head;
  removeFields(fields, ORIG_PROTO);
  removeFields(fields, TRANSFER_ENCODING);
  if (head.version === 10) fields.push(head.absoluteForm ? HTTP_10_ABSOLUTE : HTTP_10);
  else fields.push(head.absoluteForm ? HTTP_11_ABSOLUTE : HTTP_11);
  head.scheme ??= SCHEME_HTTP;
  head.version = 20;
}

/** Makes the HTTP/2 response to an upgraded request an HTTP/1 one again, in place: its own version if it tells, else the request's. */
export function restoreResponse(head: ResponseHead, requestVersion: HttpVersion): void {
  const told = findField(head.fields, ORIG_PROTO);
  if (told === undefined) {
    head.version = requestVersion;
    return;
  }
  removeFields(head.fields, ORIG_PROTO);
  if (told.value === HTTP_11.value) head.version = 11;
  else head.version = told.value === HTTP_10.value ? 10 : requestVersion;
}

/**
 * Gives an HTTP/2 request that was upgraded its version and form back, in place. The header is removed whatever it says.
 *
 * The application sees the Host that decides (H2-T30): where `:authority` differs from it, `:authority` wins, except in
 * absolute-form, whose target tells it anyway.
 *
 * @returns whether it was upgraded; "unknown" if the header says nothing that we know, and the request stays HTTP/2.
 */
export function downgradeRequest(head: RequestHead): boolean | "unknown" {
  if (head.version !== 20) return false;
  const told = findField(head.fields, ORIG_PROTO);
  if (told === undefined) return false;
  removeFields(head.fields, ORIG_PROTO);
  const text = told.value;
  if (text.startsWith(HTTP_11.value)) head.version = 11;
  else if (text.startsWith(HTTP_10.value)) head.version = 10;
  else return "unknown";
  head.absoluteForm = text.startsWith(ABSOLUTE_FORM, FORM_AT) && head.authority !== undefined;
  if (!head.absoluteForm && head.authority !== undefined) hostFollows(head.fields, head.authority.value);
  return true;
}

/** Makes an HTTP/1 response one for the peer proxy, in place; one that is HTTP/2 already stays as it is. */
export function downgradeResponse(head: ResponseHead): void {
  if (head.version === 20) return;
  removeFields(head.fields, ORIG_PROTO);
  removeFields(head.fields, TRANSFER_ENCODING);
  head.fields.push(head.version === 10 ? HTTP_10 : HTTP_11);
  head.version = 20;
}

/** An absent or empty Host stays so: the application of an HTTP/1.0 client expects none. */
function hostFollows(fields: HeaderField[], authority: string): void {
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (field?.name.role !== NameRole.host || field.value === "" || field.value === authority) continue;
    fields[i] = headerField(HOST, authority);
  }
}

/**
 * The outbound layer towards a meshed endpoint that takes HTTP/2: HTTP/1 requests travel upgraded, except those that ask
 * for a tunnel, which need a real HTTP/1 connection.
 */
export class OrigProtoUpgrade implements HttpService {
  readonly #http2: HttpService;
  readonly #http1: HttpService;

  constructor(http2: HttpService, http1: HttpService) {
    this.#http2 = http2;
    this.#http1 = http1;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const { version } = head;
    if (version === 20) return this.#http2.call(head, last, response);
    if (head.upgrade) return this.#http1.call(head, last, response);
    upgradeRequest(head);
    return this.#http2.call(head, last, new RestoredResponse(version, response));
  }
}

class RestoredResponse extends PassingResponse {
  readonly #version: HttpVersion;

  constructor(version: HttpVersion, response: ResponseSink) {
    super(response);
    this.#version = version;
  }

  override head(head: ResponseHead, last: boolean): void {
    restoreResponse(head, this.#version);
    this.response.head(head, last);
  }
  override reset(error: ProxyError): void {
    const ofHttp2 = error.code === "h2_reset" || error.code === "h2_goaway";
    this.response.reset(ofHttp2 ? error.within("upgraded connection failed with HTTP/2 reset") : error);
  }
}

/** The inbound layer: requests that a peer proxy upgraded are HTTP/1 again for everything below. */
export class OrigProtoDowngrade implements HttpService {
  readonly #inner: HttpService;
  readonly #onUnknown: (() => void) | undefined;

  /** @param onUnknown told of a request whose header means nothing to us (H2-X02). */
  constructor(inner: HttpService, onUnknown?: () => void) {
    this.#inner = inner;
    this.#onUnknown = onUnknown;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const downgraded = downgradeRequest(head);
    if (downgraded === true) return this.#inner.call(head, last, new DowngradedResponse(response));
    if (downgraded === "unknown") this.#onUnknown?.();
    return this.#inner.call(head, last, response);
  }
}

class DowngradedResponse extends PassingResponse {
  override head(head: ResponseHead, last: boolean): void {
    downgradeResponse(head);
    this.response.head(head, last);
  }
}
