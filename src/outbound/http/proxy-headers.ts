import { ProxyError } from "../../errors/proxy-error.ts";
import { L5D_DST_CANONICAL, L5D_PROXY_CONNECTION, L5D_PROXY_ERROR, L5D_REQUIRE_ID } from "../../headers.ts";
import {
  DiscardSink,
  SCHEME_HTTP,
  type HttpService,
  type RequestHead,
  type ResponseHead,
  type ResponseSink,
  type Sink,
} from "../../http/message.ts";
import { authorityOf } from "../../http/normalize-authority.ts";
import { PassingResponse } from "../../http/passing-response.ts";
import { idEquals, parseId } from "../../identity/id.ts";
import type { ClientTls } from "../../tls/status.ts";
import {
  findField,
  headerField,
  headerName,
  removeFields,
  type HeaderField,
} from "../../wire/header-field.ts";

/** What proxies' own headers mean for one endpoint. */
export interface ProxyHeadersTarget {
  /** `endpoint 192.0.2.1:80`: stands before what goes wrong there. */
  readonly name: string;
  readonly tls: ClientTls;
  /** Replaces the authority of every request: the endpoint is a gateway to it. */
  readonly authorityOverride: string | undefined;
  /** The peer is a proxy that we reach without a balancer: when it closes, so do we. */
  readonly followsClose: boolean;
}

/**
 * Handles the headers that proxies tell each other, so that the application neither sees them nor is believed to have
 * sent them, and names the endpoint in what goes wrong.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/{handle_proxy_error_headers,require_id_header,endpoint}.rs.
 */
export class ProxyHeaders implements HttpService {
  readonly #inner: HttpService;
  readonly #target: ProxyHeadersTarget;
  readonly #override: HeaderField | undefined;

  constructor(inner: HttpService, target: ProxyHeadersTarget) {
    this.#inner = inner;
    this.#target = target;
    const { authorityOverride } = target;
    this.#override = authorityOverride === undefined ? undefined : authorityOf(authorityOverride);
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const { fields } = head;
    const required = findField(fields, REQUIRE_ID);
    if (required !== undefined) {
      removeFields(fields, REQUIRE_ID);
      const problem = this.#identityProblem(required.value);
      if (problem !== undefined) {
        response.reset(new ProxyError("require_id", `${this.#target.name}: ${problem}`, { side: "proxy" }));
        return new DiscardSink(response);
      }
    }
    if (this.#override !== undefined) {
      removeFields(fields, HOST);
      // HTTP/1 cannot do without; over HTTP/2 the authority tells it.
      if (head.upgrade) fields.push(headerField(HOST, this.#override.value));
      removeFields(fields, DST_CANONICAL);
      head.authority = this.#override;
      head.scheme = SCHEME_HTTP;
    }
    return this.#inner.call(head, last, new ProxyHeadersSink(this.#target, response));
  }

  /** A header that names no identity asks for nothing. */
  #identityProblem(text: string): string | undefined {
    const id = parseId(text);
    if (!id.ok) return undefined;
    const { tls } = this.#target;
    if (tls.kind === "established" && idEquals(tls.serverId, id.value)) return undefined;
    const found = tls.kind === "established" ? tls.serverId.text : "no identity";
    return `require identity ${id.value.text} but found ${found}`;
  }
}

class ProxyHeadersSink extends PassingResponse {
  readonly #target: ProxyHeadersTarget;

  constructor(target: ProxyHeadersTarget, response: ResponseSink) {
    super(response);
    this.#target = target;
  }

  override head(head: ResponseHead, last: boolean): void {
    const { fields } = head;
    removeFields(fields, PROXY_ERROR);
    const told = findField(fields, PROXY_CONNECTION);
    if (told !== undefined) {
      removeFields(fields, PROXY_CONNECTION);
      if (this.#target.followsClose && told.value === "close") head.closeConnection = true;
    }
    this.response.head(head, last);
  }
  override reset(error: ProxyError): void {
    this.response.reset(error.within(this.#target.name));
  }
}

const HOST = headerName("host");
const DST_CANONICAL = headerName(L5D_DST_CANONICAL);
const REQUIRE_ID = headerName(L5D_REQUIRE_ID);
const PROXY_ERROR = headerName(L5D_PROXY_ERROR);
const PROXY_CONNECTION = headerName(L5D_PROXY_CONNECTION);
