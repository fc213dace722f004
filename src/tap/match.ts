import { cidrContains, type Cidr } from "../addr/cidr.ts";
import type { SocketAddr } from "../addr/socket-addr.ts";
import type { Labels } from "../metrics/registry.ts";

/** What an observer may ask of a request. `all` of nothing takes everything, `any` of nothing takes nothing. */
export type TapMatch =
  | { readonly kind: "all" | "any"; readonly of: readonly TapMatch[] }
  | { readonly kind: "not"; readonly of: TapMatch }
  | { readonly kind: "source" | "destination"; readonly addr: AddrMatch }
  | { readonly kind: "destination_label" | "route_label"; readonly name: string; readonly value: string }
  /** Lower case. A request that tells no scheme is `http`. */
  | { readonly kind: "scheme"; readonly scheme: string }
  | { readonly kind: "method"; readonly method: string }
  | { readonly kind: "authority" | "path"; readonly text: TextMatch };

export type AddrMatch =
  /** Both ends belong to the range. */
  | { readonly kind: "ports"; readonly low: number; readonly high: number }
  | { readonly kind: "network"; readonly network: Cidr };

export interface TextMatch {
  readonly kind: "exact" | "prefix";
  readonly text: string;
}

/** A request as observers ask about it. */
export interface TapSubject {
  /** Undefined where nobody told the client's address. */
  readonly source: SocketAddr | undefined;
  readonly destination: SocketAddr;
  readonly destinationLabels: Labels;
  /** Of the ServiceProfile's route; undefined if none is about the request. */
  readonly routeLabels: Labels | undefined;
  readonly method: string;
  /** Undefined if the request does not tell. */
  readonly scheme: string | undefined;
  /** Of the request's target, else its Host. */
  readonly authority: string | undefined;
  /** Without the query. */
  readonly path: string;
}

/**
 * Whether a request is one of those that were asked for. What a request does not have never matches.
 *
 * Source: linkerd2-proxy, linkerd/proxy/tap/src/grpc/match_.rs.
 */
export function tapMatches(match: TapMatch, subject: TapSubject): boolean {
  switch (match.kind) {
    case "all":
      return match.of.every((inner) => tapMatches(inner, subject));
    case "any":
      return match.of.some((inner) => tapMatches(inner, subject));
    case "not":
      return !tapMatches(match.of, subject);
    case "source":
      return subject.source !== undefined && addrMatches(match.addr, subject.source);
    case "destination":
      return addrMatches(match.addr, subject.destination);
    case "destination_label":
      return hasLabel(subject.destinationLabels, match.name, match.value);
    case "route_label":
      return subject.routeLabels !== undefined && hasLabel(subject.routeLabels, match.name, match.value);
    case "scheme":
      return (subject.scheme?.toLowerCase() ?? "http") === match.scheme;
    case "method":
      return subject.method === match.method;
    case "authority":
      return subject.authority !== undefined && textMatches(match.text, subject.authority);
    case "path":
      return textMatches(match.text, subject.path);
    default:
      return match satisfies never;
  }
}

function addrMatches(match: AddrMatch, { ip, port }: SocketAddr): boolean {
  return match.kind === "ports" ? port >= match.low && port <= match.high : cidrContains(match.network, ip);
}

function textMatches({ kind, text }: TextMatch, value: string): boolean {
  return kind === "exact" ? value === text : value.startsWith(text);
}

function hasLabel(labels: Labels, name: string, value: string): boolean {
  return labels.some(([n, v]) => n === name && v === value);
}
