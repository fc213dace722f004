import { ProxyError } from "../errors/proxy-error.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../http/message.ts";
import { authorityOf } from "../http/normalize-authority.ts";
import { headerField, headerName, removeFields, type HeaderField } from "../wire/header-field.ts";
import { formatForwarded, isForwardedBy } from "./forwarded.ts";

/** Who is at either side of a gateway's connection, and what is asked of it. */
export interface GatewayParties {
  /** Our own identity. */
  readonly localId: string;
  readonly clientId: string;
  /** Name and port of the target; without the port where that is 80. */
  readonly host: string;
}

/**
 * The layer in which a request passes from the cluster of its client into ours: refused where it has been here before,
 * and marked so that it is known when it comes again.
 *
 * HTTP/1 requests are told their host anew, because the client's proxy has put the authority in its place; HTTP/2 requests
 * have theirs from there.
 *
 * Source: linkerd2-proxy, linkerd/app/gateway/src/http/gateway.rs.
 */
export class HttpGateway implements HttpService {
  readonly #inner: HttpService;
  readonly #localId: string;
  readonly #clientIsOurselves: boolean;
  readonly #forwarded: HeaderField;
  readonly #host: HeaderField;
  readonly #authority: HeaderField;

  constructor(inner: HttpService, { localId, clientId, host }: GatewayParties) {
    this.#inner = inner;
    this.#localId = localId;
    this.#clientIsOurselves = clientId === localId;
    const element = formatForwarded({ by: localId, for: clientId, host });
    this.#forwarded = headerField(FORWARDED, element);
    this.#host = headerField(HOST, host);
    this.#authority = authorityOf(host);
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    if (this.#clientIsOurselves || this.#hasBeenHere(head.fields)) {
      response.reset(new ProxyError("gateway_loop", LOOP, { side: "proxy" }));
      return new DiscardSink(response);
    }
    head.fields.push(this.#forwarded);
    if (head.version !== 20) {
      removeFields(head.fields, HOST);
      head.fields.push(this.#host);
      // Both tell the same, or the server would be free to believe either.
      head.authority = this.#authority;
    }
    return this.#inner.call(head, last, response);
  }

  #hasBeenHere(fields: readonly HeaderField[]): boolean {
    return fields.some(({ name, value }) => name === FORWARDED && isForwardedBy(value, this.#localId));
  }
}

/** What a client is told whose request came back to us. */
export const LOOP = "gateway loop detected";

const FORWARDED = headerName("forwarded");
const HOST = headerName("host");
