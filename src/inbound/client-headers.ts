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
  readonly #stripsAll: boolean;

  /**
   * @param clientId verified; undefined for a client that is not meshed.
   * @param stripsAll takes every `l5d-*` header from clients that are not meshed. An application that copies what it was sent
   * to its own calls would else pass on what its outbound proxy obeys, as `l5d-dst-override` in ingress mode.
   */
  constructor(inner: HttpService, clientId: string | undefined, stripsAll = false) {
    this.#inner = inner;
    this.#stripsAll = stripsAll;
    this.#clientId = clientId === undefined ? undefined : internField(CLIENT_ID, clientId);
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    // The client's own claims are always removed: otherwise anybody could pass for anybody.
    if (this.#clientId !== undefined) {
      removeFields(head.fields, CLIENT_ID);
      head.fields.push(this.#clientId);
    } else if (this.#stripsAll) {
      head.fields = head.fields.filter(({ name }) => !name.text.startsWith("l5d-"));
    } else {
      for (const name of SAID_BY_PROXIES) removeFields(head.fields, name);
    }
    return this.#inner.call(head, last, response);
  }
}

const CLIENT_ID = headerName(L5D_CLIENT_ID);
/** Headers that mean something only from proxies. */
export const SAID_BY_PROXIES: readonly HeaderName[] = [
  L5D_CLIENT_ID,
  L5D_ORIG_PROTO,
  L5D_PROXY_CONNECTION,
  L5D_PROXY_ERROR,
  L5D_REMOTE_IP,
].map(headerName);
