import { ProxyError } from "../errors/proxy-error.ts";
import { L5D_DST_CANONICAL } from "../headers.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../http/message.ts";
import { tooManyInFlight } from "../http/too-many-in-flight.ts";
import { countEvent } from "../metrics/count-event.ts";
import {
  httpAllowLabels,
  httpDenyLabels,
  inboundDecisionLabels,
  rateLimitLabels,
} from "../metrics/labels.ts";
import type { Counter } from "../metrics/registry.ts";
import { applyRequestFilters } from "../policy/apply-filters.ts";
import { authorize } from "../policy/authorize.ts";
import { isAudited } from "../policy/default-policies.ts";
import type { Authorization } from "../policy/server-policy.ts";
import type { Handle } from "../stack/idle-cache.ts";
import { findField, headerName } from "../wire/header-field.ts";
import { clientIdOf, clientOf, decisionOf, type InboundConnection } from "./connection.ts";
import type { InboundContext } from "./context.ts";
import { AUDITED, decisionFields } from "./decision-fields.ts";
import type { PortPolicy, ServerRouteMatch } from "./port-policy.ts";

const DST_CANONICAL = headerName(L5D_DST_CANONICAL);

/** What the policy in force says of one client and one route. It cannot change before the policy does. */
type Decision =
  | { readonly kind: "deny"; readonly denied: Counter }
  | {
      readonly kind: "allow";
      readonly allowed: Counter;
      readonly authorization: Authorization;
      readonly audited: boolean;
      /** Clients towards the application by authority. */
      readonly clients: Map<string, Handle<HttpService>>;
    };

/** Authorities for which one connection keeps a client at hand; a client that sends more begins anew. */
const CLIENTS_PER_ROUTE_MAX = 64;

/**
 * Decides every request of one connection by the policy that is in force when it arrives, and sends it to the
 * application: room in flight, route, authorization, filters, rate limit, in this order.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/policy/http.rs.
 */
export class InboundRouter implements HttpService {
  readonly #context: InboundContext;
  readonly #connection: InboundConnection;
  readonly #version: 1 | 2;
  #policy: PortPolicy;
  #decisions = new Map<ServerRouteMatch, Decision>();

  /** @param version what the connection speaks. A request that was carried over HTTP/2 for HTTP/1 tells its own. */
  constructor(context: InboundContext, connection: InboundConnection, version: 1 | 2) {
    this.#context = context;
    this.#connection = connection;
    this.#version = version;
    this.#policy = connection.policy.value;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    if (!this.#context.applications.hasRoom) return refuse(response, tooManyInFlight());
    const policy = this.#policyOfNow();
    const match = policy.find(head);
    if (match === undefined) {
      const labels = inboundDecisionLabels(decisionOf(this.#connection, policy));
      countEvent(this.#context.families.inboundHttpRouteNotFoundTotal, labels);
      return refuse(response, new ProxyError("route_not_found", "no route found for request"));
    }
    const decision = this.#decisions.get(match) ?? this.#decide(policy, match);
    if (decision.kind === "deny") {
      decision.denied.value++;
      this.#log("Request denied", policy, match, undefined);
      return refuse(response, new ProxyError("unauthorized", "unauthorized request on route"));
    }
    decision.allowed.value++;
    if (decision.audited) this.#log(AUDITED, policy, match, decision.authorization);
    const { filters } = match.rule;
    if (filters.length > 0) {
      const error = applyRequestFilters(filters, head, match.prefixLength, this.#context.random);
      if (error !== undefined) return refuse(response, error);
    }
    const limited = policy.rateLimit === undefined ? undefined : this.#limit(policy, policy.rateLimit);
    if (limited !== undefined) return refuse(response, limited);
    return this.#client(policy, match, decision, head).call(head, last, response);
  }

  /** Lets go of the clients that this connection held. */
  close(): void {
    for (const decision of this.#decisions.values()) {
      if (decision.kind === "allow") releaseAll(decision.clients);
    }
    this.#decisions = new Map();
  }

  #policyOfNow(): PortPolicy {
    const policy = this.#connection.policy.value;
    if (policy !== this.#policy) {
      this.close();
      this.#policy = policy;
    }
    return policy;
  }

  #decide(policy: PortPolicy, match: ServerRouteMatch): Decision {
    const { route } = match;
    const at = decisionOf(this.#connection, policy);
    const authorization = authorize(route.authorizations, clientOf(this.#connection));
    const { families } = this.#context;
    const decision: Decision =
      authorization === undefined
        ? { kind: "deny", denied: families.inboundHttpAuthzDenyTotal.cell(httpDenyLabels(at, route.meta)) }
        : {
            kind: "allow",
            allowed: families.inboundHttpAuthzAllowTotal.cell(
              httpAllowLabels(at, route.meta, authorization.meta),
            ),
            authorization,
            audited: isAudited(authorization),
            clients: new Map(),
          };
    this.#decisions.set(match, decision);
    return decision;
  }

  #limit(
    policy: PortPolicy,
    { params, limiter }: NonNullable<PortPolicy["rateLimit"]>,
  ): ProxyError | undefined {
    const limited = limiter.check(clientIdOf(this.#connection), this.#context.clock.nowMs());
    if (limited === undefined) return undefined;
    const labels = rateLimitLabels(decisionOf(this.#connection, policy), params.meta, limited.scope);
    countEvent(this.#context.families.inboundHttpLocalRatelimitTotal, labels);
    return new ProxyError("rate_limited", limited.message);
  }

  #client(
    policy: PortPolicy,
    match: ServerRouteMatch,
    { clients, authorization }: Extract<Decision, { kind: "allow" }>,
    head: RequestHead,
  ): HttpService {
    const authority = head.authority?.value ?? "";
    // A connection carries requests of one version only, unless HTTP/1 requests travel over HTTP/2.
    const version = this.#version === 1 || head.version !== 20 ? 1 : 2;
    const canonical = findField(head.fields, DST_CANONICAL)?.value;
    // Nearly always the same name; then it costs nothing to tell the two apart.
    const name = canonical === undefined || canonical === authority ? authority : `${authority} ${canonical}`;
    const key = version === 1 ? name : `2 ${name}`;
    const known = clients.get(key);
    if (known !== undefined) return known.value;
    if (clients.size >= CLIENTS_PER_ROUTE_MAX) releaseAll(clients);
    const client = this.#context.applications.acquire({
      connection: this.#connection,
      version,
      authority,
      canonical,
      server: decisionOf(this.#connection, policy).server,
      route: match.route.meta,
      isGrpc: policy.isGrpc,
      authorization: authorization.meta,
    });
    clients.set(key, client);
    return client.value;
  }

  #log(
    message: string,
    { policy }: PortPolicy,
    { route }: ServerRouteMatch,
    authorization: Authorization | undefined,
  ): void {
    const { log } = this.#context;
    if (!log.enabled("info")) return;
    const by = { route: route.meta, ...(authorization && { authorization: authorization.meta }) };
    log.info(message, decisionFields(this.#connection, policy, by));
  }
}

function refuse(response: ResponseSink, error: ProxyError): Sink {
  response.reset(error);
  return new DiscardSink(response);
}

function releaseAll(clients: Map<string, Handle<HttpService>>): void {
  for (const client of clients.values()) client.release();
  clients.clear();
}
