import { formatSocketAddr } from "../addr/socket-addr.ts";
import { L5D_CLIENT_ID } from "../headers.ts";
import type { HttpService, RequestHead, ResponseSink, Sink } from "../http/message.ts";
import { authorityOf, NormalizeAuthority } from "../http/normalize-authority.ts";
import { OrigProtoDowngrade } from "../http/orig-proto.ts";
import { RescueService } from "../http/respond.ts";
import { H1Server } from "../http/server/h1.ts";
import { H2Server } from "../http/server/h2.ts";
import { countEvent } from "../metrics/count-event.ts";
import { inboundAcceptedLabels, inboundHttpErrorLabels } from "../metrics/labels.ts";
import { replay } from "../transport/replay.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import { headerName, internField, removeFields, type HeaderField } from "../wire/header-field.ts";
import {
  clientIdOf,
  decisionOf,
  describeConnection,
  isMeshed,
  type InboundConnection,
} from "./connection.ts";
import type { InboundContext } from "./context.ts";
import { errorLabel } from "./errors.ts";
import { InboundRouter } from "./http-router.ts";
import { INBOUND_RESCUE } from "./rescue.ts";

/**
 * Serves HTTP on a connection. From the outside in:
 *
 * 1. failures become responses; outside of the downgrade, because they are answered in the protocol of the connection;
 * 2. HTTP/1 requests that a peer carried over HTTP/2 become HTTP/1 again;
 * 3. the headers that tell the application who calls are set, whatever the client claimed; below the downgrade, because
 *    that is where the client's headers are complete;
 * 4. the authority is settled, which routes match and the client is chosen by; below the downgrade, because only
 *    HTTP/1 requests may lack one;
 * 5. policy, and the application.
 *
 * @param defaultAuthority for requests that name no host.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/http/server.rs.
 */
export function serveHttp(
  context: InboundContext,
  connection: InboundConnection,
  transport: SocketTransport,
  prefix: Buffer,
  version: 1 | 2,
  defaultAuthority: string | undefined,
): void {
  const { clock, drain, families, log } = context;
  const { server } = decisionOf(connection, connection.policy.value);
  context.transportMetrics.track(transport, inboundAcceptedLabels(connection.target, connection.tls, server));

  const router = new InboundRouter(context, connection, version);
  const authority = defaultAuthority === undefined ? undefined : authorityOf(defaultAuthority);
  const annotated = new ClientIdentity(new NormalizeAuthority(router, authority), clientIdOf(connection));
  const service = new RescueService(version === 2 ? new OrigProtoDowngrade(annotated) : annotated, {
    table: INBOUND_RESCUE,
    outermost: true,
    informationalHeaders: isMeshed(connection),
    prefix: describeConnection(connection),
    onError: (error) => {
      const label = errorLabel(error);
      if (label === undefined) return;
      countEvent(families.inboundHttpErrorsTotal, inboundHttpErrorLabels(label, connection.target, server));
      log.info("Request failed", {
        "client.addr": formatSocketAddr(connection.client),
        error: error.message,
      });
    },
  });
  const onClose = (): void => {
    leave();
    router.close();
  };
  const http =
    version === 1
      ? new H1Server(transport, service, { clock, onClose })
      : new H2Server(transport, service, { ...context.options.http2Server, clock, onClose });
  const leave = drain.join(() => http.drain());
  replay(transport, http, prefix);
}

/** Tells the application who calls, by a header that nobody else can set. Responses pass untouched. */
class ClientIdentity implements HttpService {
  readonly #inner: HttpService;
  readonly #clientId: HeaderField | undefined;

  constructor(inner: HttpService, clientId: string | undefined) {
    this.#inner = inner;
    this.#clientId = clientId === undefined ? undefined : internField(CLIENT_ID, clientId);
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    // Always removed: otherwise anybody could pass for anybody.
    removeFields(head.fields, CLIENT_ID);
    if (this.#clientId !== undefined) head.fields.push(this.#clientId);
    return this.#inner.call(head, last, response);
  }
}

const CLIENT_ID = headerName(L5D_CLIENT_ID);
