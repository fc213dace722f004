import { formatSocketAddr, type SocketAddr } from "../../addr/socket-addr.ts";
import type { HttpService, RequestHead, ResponseSink, Sink } from "../../http/message.ts";
import { authorityOf, normalizeAuthority, NormalizeAuthority } from "../../http/normalize-authority.ts";
import { countRejections } from "../../http/rejections.ts";
import { RescueService } from "../../http/respond.ts";
import { H1Server } from "../../http/server/h1.ts";
import { H2Server } from "../../http/server/h2.ts";
import type { TracePoint } from "../../http/trace-requests.ts";
import { countEvent } from "../../metrics/count-event.ts";
import { replay } from "../../transport/replay.ts";
import { ClientOfRequest } from "../../tap/client-of-request.ts";
import type { SocketTransport } from "../../transport/socket-transport.ts";
import type { HeaderField } from "../../wire/header-field.ts";
import type { OutboundContext } from "../context.ts";
import { errorLabel } from "../errors.ts";
import { SERVER_RESCUE } from "../rescue.ts";

/** An application's connection that is about to be served as HTTP. */
export interface HttpConnection {
  readonly client: SocketAddr;
  readonly transport: SocketTransport;
  /** Read already. */
  readonly prefix: Buffer;
  readonly version: 1 | 2;
  /** For HTTP/1 requests that name no host; undefined fails them. */
  readonly defaultAuthority: string | undefined;
  /** The service gives requests their authority itself: where it is sent decides what that is. */
  readonly authorityByService?: true;
  /** Called once, when the connection is gone. */
  readonly onClose: () => void;
}

/**
 * Serves HTTP to an application. From the outside in: where traces are gathered, requests get a span, to which responses
 * to failures belong; failures become responses; HTTP/1 requests get an authority, because routes are matched by it; then
 * `service`.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/server.rs.
 */
export function serveHttp(context: OutboundContext, connection: HttpConnection, service: HttpService): void {
  const { clock, drain, families, log, informationalHeaders, options } = context;
  const { client, transport, prefix, version, defaultAuthority, authorityByService } = connection;
  const authority = defaultAuthority === undefined ? undefined : authorityOf(defaultAuthority);
  const normalizes = version === 1 && authorityByService !== true;
  const noted = context.taps === undefined ? service : new ClientOfRequest(service, client);
  const inner = normalizes ? new NormalizeAuthority(noted, authority) : noted;
  const rescued = new RescueService(inner, {
    table: SERVER_RESCUE,
    outermost: true,
    informationalHeaders,
    onError: (error) => {
      const label = errorLabel(error);
      if (label === undefined) return;
      countEvent(families.outboundHttpErrorsTotal, [["error", label]]);
      log.info("Request failed", { "client.addr": formatSocketAddr(client), error: error.message });
    },
  });
  const traced =
    context.trace === undefined ? rescued : new TracedRequests(rescued, context.trace.server, authority);
  const onClose = (): void => {
    leave();
    connection.onClose();
  };
  const rejections = countRejections(families, "outbound", client, log);
  const http =
    version === 1
      ? new H1Server(transport, traced, { clock, onClose, ...rejections })
      : new H2Server(transport, traced, {
          ...options.http2Server,
          addsDate: true,
          clock,
          onClose,
          ...rejections,
        });
  const leave = drain.join(() => http.drain());
  replay(transport, http, prefix);
}

/** Begins spans, which tell the authority of the request: an HTTP/1 request gets it here already. */
class TracedRequests implements HttpService {
  readonly #inner: HttpService;
  readonly #point: TracePoint;
  readonly #authority: HeaderField | undefined;

  constructor(inner: HttpService, point: TracePoint, authority: HeaderField | undefined) {
    this.#inner = inner;
    this.#point = point;
    this.#authority = authority;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    // Without one the request fails further in, where its failure becomes a response.
    normalizeAuthority(head, this.#authority);
    return this.#inner.call(head, last, this.#point.begin(head, response));
  }
}
