import {
  L5D_CLIENT_ID,
  L5D_ORIG_PROTO,
  L5D_PROXY_CONNECTION,
  L5D_PROXY_ERROR,
  L5D_REMOTE_IP,
} from "../headers.ts";
import type { HttpService, RequestHead, ResponseSink, Sink } from "../http/message.ts";
import {
  headerName,
  internField,
  removeFields,
  type HeaderField,
  type HeaderName,
} from "../wire/header-field.ts";

/**
 * Tells the application who calls, by a header that nobody else can set, and keeps clients from speaking as proxies: what
 * only proxies say to each other is taken from whoever has not proved to be one. Responses pass untouched.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/http/set_identity_header.rs; the rest is ours (H1-X06).
 */
export class ClientHeaders implements HttpService {
  readonly #inner: HttpService;
  readonly #clientId: HeaderField | undefined;

  /** @param clientId verified; undefined for a client that is not meshed. */
  constructor(inner: HttpService, clientId: string | undefined) {
    this.#inner = inner;
    this.#clientId = clientId === undefined ? undefined : internField(CLIENT_ID, clientId);
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    // Always removed: otherwise anybody could pass for anybody.
    removeFields(head.fields, CLIENT_ID);
    if (this.#clientId !== undefined) head.fields.push(this.#clientId);
    else for (const name of SAID_BY_PROXIES) removeFields(head.fields, name);
    return this.#inner.call(head, last, response);
  }
}

const CLIENT_ID = headerName(L5D_CLIENT_ID);
const SAID_BY_PROXIES: readonly HeaderName[] = [
  L5D_ORIG_PROTO,
  L5D_PROXY_CONNECTION,
  L5D_PROXY_ERROR,
  L5D_REMOTE_IP,
].map(headerName);
