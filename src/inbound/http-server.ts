import { formatSocketAddr } from "../addr/socket-addr.ts";
import { AccessLog } from "../http/access-log.ts";
import { authorityOf, NormalizeAuthority } from "../http/normalize-authority.ts";
import { OrigProtoDowngrade } from "../http/orig-proto.ts";
import { countRejections } from "../http/rejections.ts";
import { RescueService } from "../http/respond.ts";
import { H1Server } from "../http/server/h1.ts";
import { H2Server } from "../http/server/h2.ts";
import { TraceRequests } from "../http/trace-requests.ts";
import type { Log } from "../log/log.ts";
import { countEvent } from "../metrics/count-event.ts";
import { inboundAcceptedLabels, inboundHttpErrorLabels } from "../metrics/labels.ts";
import { ClientOfRequest } from "../tap/client-of-request.ts";
import { replay } from "../transport/replay.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import { STRICT } from "../wire/http1/parser.ts";
import { ClientHeaders } from "./client-headers.ts";
import {
  clientIdOf,
  decisionOf,
  describeConnection,
  isMeshed,
  type InboundConnection,
} from "./connection.ts";
import type { InboundContext } from "./context.ts";
import { requestErrorLabel } from "./errors.ts";
import { InboundRouter } from "./http-router.ts";
import { INBOUND_RESCUE, unreachableAs } from "./rescue.ts";

/**
 * Serves HTTP on a connection. From the outside in:
 *
 * 1. the access log, if there is one; outside of everything, because it tells what was received and what was answered;
 * 2. where traces are gathered, requests get a span; outside of what answers failures, because those responses belong to it;
 * 3. failures become responses; outside of the downgrade, because they are answered in the protocol of the connection;
 * 4. HTTP/1 requests that a peer carried over HTTP/2 become HTTP/1 again;
 * 5. the headers that tell the application who calls are set, whatever the client claimed; below the downgrade, because
 *    that is where the client's headers are complete;
 * 6. the authority is settled, which routes match and the client is chosen by; below the downgrade, because only
 *    HTTP/1 requests may lack one;
 * 7. policy, and the application.
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

  const client = formatSocketAddr(connection.client);
  const router = new InboundRouter(context, connection, version);
  const authority = defaultAuthority === undefined ? undefined : authorityOf(defaultAuthority);
  const noted = context.taps === undefined ? router : new ClientOfRequest(router, connection.client);
  const annotated = new ClientHeaders(
    new NormalizeAuthority(noted, authority),
    clientIdOf(connection),
    context.options.stripsL5dHeaders,
  );
  // Only a peer proxy carries HTTP/1 over HTTP/2: nobody else is believed to.
  const downgraded =
    version === 2 && isMeshed(connection)
      ? new OrigProtoDowngrade(annotated, warnOnce(log, client))
      : annotated;
  const rescued = new RescueService(downgraded, {
    table: INBOUND_RESCUE,
    outermost: true,
    informationalHeaders: isMeshed(connection),
    prefix: describeConnection(connection),
    dated: true,
    onError: (error) => {
      const label = requestErrorLabel(error);
      if (label !== undefined) {
        countEvent(families.inboundHttpErrorsTotal, inboundHttpErrorLabels(label, connection.target, server));
      }
      if (label !== undefined || unreachableAs(error.code) !== undefined) {
        log.info("Request failed", { "client.addr": client, error: error.message });
      }
    },
  });
  const traced = context.trace === undefined ? rescued : new TraceRequests(rescued, context.trace.server);
  const service =
    context.accessLog === undefined
      ? traced
      : new AccessLog(traced, context.accessLog, client, clientIdOf(connection));
  const onClose = (): void => {
    leave();
    router.close();
  };
  const { anyHost = false } = context.options;
  const rejections = countRejections(families, "inbound", connection.client, log);
  const http =
    version === 1
      ? new H1Server(transport, service, {
          clock,
          leniency: { ...STRICT, anyHost },
          onClose,
          ...rejections,
        })
      : new H2Server(transport, service, {
          ...context.options.http2Server,
          oneHost: !anyHost,
          clock,
          onClose,
          ...rejections,
        });
  const leave = drain.join(() => http.drain());
  replay(transport, http, prefix);
}

/** A peer whose `l5d-orig-proto` says nothing that we know is served as it speaks, and told of once. */
function warnOnce(log: Log, client: string): () => void {
  let warned = false;
  return () => {
    if (!warned) log.warn("Unknown l5d-orig-proto", { "client.addr": client });
    warned = true;
  };
}
