import type { MessageInitShape } from "@bufbuild/protobuf";
import type { GrpcRouteMatchSchema } from "../../proto/gen/grpc_route_pb.js";
import type {
  HeaderMatchSchema,
  HostMatchSchema,
  HttpRouteMatchSchema,
  QueryParamMatchSchema,
  RequestRedirectSchema,
} from "../../proto/gen/http_route_pb.js";
import {
  HttpMethod_Registered,
  Scheme_Registered,
  type HeadersSchema,
} from "../../proto/gen/http_types_pb.js";
import type { GrpcMatch } from "../resources/grpc-route.ts";
import type { HttpMatch, HttpPathMatch, HttpRedirect } from "../resources/http-route.ts";
import type { Header, HeaderMatch, HeaderModifier } from "../resources/route-parts.ts";

/** Matches and filters of routes as the inbound and the outbound API share them. */

const utf8 = new TextEncoder();

/** `*.example.org` needs at least one label in place of the star. */
export function hostMatch(hostname: string): MessageInitShape<typeof HostMatchSchema> {
  if (!hostname.startsWith("*.")) return { match: { case: "exact", value: hostname } };
  return { match: { case: "suffix", value: { reverseLabels: reverseLabels(hostname) } } };
}

/** The labels behind the star of `*.example.org`, last one first. */
export function reverseLabels(wildcard: string): string[] {
  return wildcard.slice(2).split(".").reverse();
}

export function httpMatch(match: HttpMatch): MessageInitShape<typeof HttpRouteMatchSchema> {
  return {
    path: { kind: { case: PATH_CASE[match.path.type], value: match.path.value } },
    headers: match.headers.map(headerMatch),
    queryParams: match.queryParams.map(queryMatch),
    ...(match.method === undefined ? {} : { method: httpMethod(match.method) }),
  };
}

const PATH_CASE = {
  Exact: "exact",
  PathPrefix: "prefix",
  RegularExpression: "regex",
} as const satisfies Record<HttpPathMatch["type"], string>;

/** A match without a method is sent with an empty one, because proxies refuse a policy where it is absent. */
export function grpcMatch(match: GrpcMatch): MessageInitShape<typeof GrpcRouteMatchSchema> {
  return {
    rpc: { service: match.service ?? "", method: match.method ?? "" },
    headers: match.headers.map(headerMatch),
  };
}

function headerMatch(match: HeaderMatch): MessageInitShape<typeof HeaderMatchSchema> {
  const { name, value } = match;
  if (match.type === "RegularExpression") return { name, value: { case: "regex", value } };
  return { name, value: { case: "exact", value: utf8.encode(value) } };
}

function queryMatch(match: HeaderMatch): MessageInitShape<typeof QueryParamMatchSchema> {
  const kind = match.type === "RegularExpression" ? "regex" : "exact";
  return { name: match.name, value: { case: kind, value: match.value } };
}

export type HttpMethodInit = NonNullable<MessageInitShape<typeof HttpRouteMatchSchema>["method"]>;

export function httpMethod(name: string): HttpMethodInit {
  const registered = REGISTERED.get(name);
  if (registered === undefined) return { type: { case: "unregistered", value: name } };
  return { type: { case: "registered", value: registered } };
}

const REGISTERED: ReadonlyMap<string, HttpMethod_Registered> = new Map([
  ["GET", HttpMethod_Registered.GET],
  ["POST", HttpMethod_Registered.POST],
  ["PUT", HttpMethod_Registered.PUT],
  ["DELETE", HttpMethod_Registered.DELETE],
  ["PATCH", HttpMethod_Registered.PATCH],
  ["OPTIONS", HttpMethod_Registered.OPTIONS],
  ["CONNECT", HttpMethod_Registered.CONNECT],
  ["HEAD", HttpMethod_Registered.HEAD],
  ["TRACE", HttpMethod_Registered.TRACE],
]);

/** Request and response modifiers have the same shape. */
export function headerModifier(modifier: HeaderModifier): {
  readonly add: HeadersInit;
  readonly set: HeadersInit;
  readonly remove: string[];
} {
  return { add: headers(modifier.add), set: headers(modifier.set), remove: [...modifier.remove] };
}

type HeadersInit = MessageInitShape<typeof HeadersSchema>;

function headers(list: readonly Header[]): HeadersInit {
  return { headers: list.map(({ name, value }) => ({ name, value: utf8.encode(value) })) };
}

export function redirect(r: HttpRedirect): MessageInitShape<typeof RequestRedirectSchema> {
  return {
    host: r.hostname ?? "",
    port: r.port ?? 0,
    status: r.statusCode,
    ...(r.scheme === undefined ? {} : { scheme: { type: { case: "registered", value: SCHEME[r.scheme] } } }),
    ...(r.path === undefined ? {} : { path: { replace: { case: r.path.kind, value: r.path.value } } }),
  };
}

const SCHEME = { http: Scheme_Registered.HTTP, https: Scheme_Registered.HTTPS } as const;
