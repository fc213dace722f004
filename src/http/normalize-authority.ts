import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { headerField, internField, NameRole, type HeaderField } from "../wire/header-field.ts";
import { isHost } from "../wire/http1/host.ts";
import {
  AUTHORITY,
  DiscardSink,
  SCHEME_HTTP,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "./message.ts";

const HTTP_PORT = 80;

/** The authority of requests that name none: the address, without the port where that is 80. */
export function authorityOfAddr(addr: SocketAddr): HeaderField {
  const text = formatSocketAddr(addr);
  return authorityOf(addr.port === HTTP_PORT ? text.slice(0, text.lastIndexOf(":")) : text);
}

/** The shared authority field of a configured or discovered name. */
export function authorityOf(text: string): HeaderField {
  return internField(AUTHORITY, text);
}

/**
 * Gives an HTTP/1 request the authority that routing looks at, in place: its target's own, else its Host, else
 * `otherwise`. Host itself is never touched. HTTP/2 requests stay as they are.
 *
 * @returns false if there is no authority to be had.
 *
 * Source: linkerd2-proxy, linkerd/proxy/http/src/normalize_uri.rs.
 */
export function normalizeAuthority(head: RequestHead, otherwise: HeaderField | undefined): boolean {
  if (head.version === 20 || head.authority !== undefined) return true;
  head.authority = authorityOfHost(head.fields) ?? otherwise;
  if (head.authority === undefined) return false;
  head.scheme ??= SCHEME_HTTP;
  return true;
}

function authorityOfHost(fields: readonly HeaderField[]): HeaderField | undefined {
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (field?.name.role !== NameRole.host) continue;
    // A shared field was seen before, so its authority is worth sharing too.
    if (isHost(field.value, false)) {
      return field.interned ? internField(AUTHORITY, field.value) : headerField(AUTHORITY, field.value);
    }
  }
  return undefined;
}

/** The layer around `normalizeAuthority`. Without any authority the request fails with `no_authority`. */
export class NormalizeAuthority implements HttpService {
  readonly #inner: HttpService;
  readonly #otherwise: HeaderField | undefined;

  constructor(inner: HttpService, otherwise: HeaderField | undefined) {
    this.#inner = inner;
    this.#otherwise = otherwise;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    if (normalizeAuthority(head, this.#otherwise)) return this.#inner.call(head, last, response);
    response.reset(
      new ProxyError("no_authority", "failed to normalize URI because no authority could be determined"),
    );
    return new DiscardSink(response);
  }
}
