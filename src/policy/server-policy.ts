import type { Cidr } from "../addr/cidr.ts";
import type { Filter } from "./filter.ts";
import type { Meta } from "./meta.ts";
import type { GrpcMatch, HttpMatch, Route } from "./route-match.ts";

/** Inbound policy of one port, as the control plane says it or as a default. Immutable. */
export interface ServerPolicy {
  readonly meta: Meta;
  readonly protocol: ServerProtocol;
  /** For connections that are forwarded as TCP, in order; the implicit localhost authorization is already in it. */
  readonly authorizations: readonly Authorization[];
}

export type ServerProtocol =
  | {
      readonly kind: "detect";
      readonly timeoutMs: number;
      readonly routes: readonly HttpServerRoute[];
      readonly rateLimit: LocalRateLimit | undefined;
    }
  | {
      readonly kind: "http1";
      readonly routes: readonly HttpServerRoute[];
      readonly rateLimit: LocalRateLimit | undefined;
    }
  | {
      readonly kind: "http2";
      readonly routes: readonly HttpServerRoute[];
      readonly rateLimit: LocalRateLimit | undefined;
    }
  | { readonly kind: "grpc"; readonly routes: readonly GrpcServerRoute[] }
  | { readonly kind: "opaque" }
  | { readonly kind: "tls" };

export interface ServerRule<Match> {
  readonly matches: readonly Match[];
  readonly filters: readonly Filter[];
}

interface ServerRoute<Match> extends Route<Match, ServerRule<Match>> {
  readonly meta: Meta;
  /** The route's own first, then the server's, then localhost: the first that applies wins. */
  readonly authorizations: readonly Authorization[];
}
export interface HttpServerRoute extends ServerRoute<HttpMatch> {}
export interface GrpcServerRoute extends ServerRoute<GrpcMatch> {}

/** Holds if the client is in some network and is authenticated as asked. `networks` is never empty. */
export interface Authorization {
  readonly meta: Meta;
  readonly networks: readonly Network[];
  readonly authentication: Authentication;
}

export interface Network {
  readonly net: Cidr;
  readonly except: readonly Cidr[];
}

export type Authentication =
  | { readonly kind: "unauthenticated" }
  | { readonly kind: "tls_unauthenticated" }
  | {
      readonly kind: "tls_authenticated";
      /** Exact identities, normalised text of DNS names and URIs. */
      readonly identities: ReadonlySet<string>;
      /** `.ns.serviceaccount...`, or "" for every DNS identity. URIs never match a suffix. */
      readonly suffixes: readonly string[];
    };

/** Requests per second; undefined means no limit of that kind. */
export interface LocalRateLimit {
  readonly meta: Meta;
  readonly totalRps: number | undefined;
  readonly identityRps: number | undefined;
  readonly overrides: readonly { readonly rps: number; readonly identities: ReadonlySet<string> }[];
}
