import { formatSocketAddr } from "../addr/socket-addr.ts";
import type { LogFields } from "../log/log.ts";
import { metaGroup, metaKind, metaName, type Meta } from "../policy/meta.ts";
import type { ServerPolicy } from "../policy/server-policy.ts";
import { clientIdOf, type InboundConnection } from "./connection.ts";

/** What is said of each access that is allowed for the sake of being seen. */
export const AUDITED = "Request allowed";

/** Resources that had a part in a decision, besides the server. */
export interface DecidedBy {
  readonly route?: Meta;
  readonly authorization?: Meta;
}

/**
 * What a log line about a policy decision tells: which server, route and authorization decided, about whom. Names are
 * those of the model, so that searches and alerts go on working.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/policy/{tcp,http}.rs.
 */
export function decisionFields(
  connection: InboundConnection,
  { meta: server }: ServerPolicy,
  { route, authorization }: DecidedBy = {},
): LogFields {
  return {
    ...metaFields("server", server),
    ...(route === undefined ? {} : metaFields("route", route)),
    "client.tls": connection.tls.kind,
    "client.id": clientIdOf(connection),
    "client.ip": connection.client.ip.text,
    "client.addr": formatSocketAddr(connection.client),
    ...(authorization === undefined ? {} : metaFields("authz", authorization)),
  };
}

function metaFields(prefix: string, meta: Meta): LogFields {
  return {
    [`${prefix}.group`]: metaGroup(meta),
    [`${prefix}.kind`]: metaKind(meta),
    [`${prefix}.name`]: metaName(meta),
  };
}
