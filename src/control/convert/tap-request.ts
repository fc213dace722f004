import { assertNever, type Parsed } from "../../parsed.ts";
import { Scheme_Registered, type Scheme } from "../../proto/gen/http_types_pb.js";
import type * as proto from "../../proto/gen/tap_pb.js";
import type { AddrMatch, TapMatch, TextMatch } from "../../tap/match.ts";
import type { TapRequest } from "../../tap/tap.ts";
import { convert, field, invalid } from "./field.ts";
import { methodFromProto } from "./http-method.ts";
import { cidrOf } from "./net.ts";

/** Deeper conditions are refused: they would cost a stack frame per level and request, and people write two or three. */
const DEPTH_MAX = 32;
/** Tests in one condition: every request is asked them all. */
const TESTS_MAX = 256;

/**
 * What an observer asks for, or why it cannot be had. Without `extract`, or with one that we do not know, observers get
 * HTTP without headers.
 *
 * Source: linkerd2-proxy, linkerd/proxy/tap/src/grpc/{server,match_}.rs.
 */
export function tapRequestFromProto(request: proto.ObserveRequest): Parsed<TapRequest> {
  return convert(() => {
    const { limit, extract } = request;
    if (limit === 0) return invalid("limit must be positive");
    const match = field("match", () => new MatchReader().read(request.match, 0));
    const http = extract?.extract.case === "http" ? extract.extract.value : undefined;
    return { limit, match, headers: http?.extract.case === "headers" };
  });
}

class MatchReader {
  #tests = 0;

  read(match: proto.ObserveRequest_Match | undefined, depth: number): TapMatch {
    if (depth > DEPTH_MAX) return invalid(`is nested deeper than ${DEPTH_MAX} levels`);
    if (++this.#tests > TESTS_MAX) return invalid(`is one of more than ${TESTS_MAX} tests`);
    const of = match?.match;
    switch (of?.case) {
      case "all":
      case "any":
        return { kind: of.case, of: field(of.case, () => this.#members(of.value.matches, depth + 1)) };
      case "not":
        return { kind: "not", of: field("not", () => this.read(of.value, depth + 1)) };
      case "source":
      case "destination":
        return { kind: of.case, addr: field(of.case, () => addrMatch(of.value)) };
      case "destinationLabel":
        return field("destination_label", () => labelMatch("destination_label", of.value));
      case "routeLabel":
        return field("route_label", () => labelMatch("route_label", of.value));
      case "http":
        return field("http", () => httpMatch(of.value));
      case undefined:
        return invalid("is missing");
      default:
        return assertNever(of);
    }
  }

  /** Members that say nothing, or something that is too new for us, are left out. */
  #members(matches: readonly proto.ObserveRequest_Match[], depth: number): readonly TapMatch[] {
    return matches.flatMap((match, i) =>
      match.match.case === undefined ? [] : [field(`matches[${i}]`, () => this.read(match, depth))],
    );
  }
}

function labelMatch(
  kind: "destination_label" | "route_label",
  { key, value }: proto.ObserveRequest_Match_Label,
): TapMatch {
  if (key === "") return field("key", () => invalid("is missing"));
  if (value === "") return field("value", () => invalid("is missing"));
  return { kind, name: key, value };
}

function addrMatch({ match }: proto.ObserveRequest_Match_Tcp): AddrMatch {
  switch (match.case) {
    case "ports":
      return field("ports", () => portRange(match.value));
    case "netmask":
      return field("netmask", () => {
        const { ip, mask } = match.value;
        return {
          kind: "network",
          network: mask === 0 ? invalid("mask is missing") : cidrOf(ip, mask, "mask"),
        };
      });
    case undefined:
      return invalid("is missing");
    default:
      return assertNever(match);
  }
}

/** A range with one end is that port. */
function portRange({ min, max }: proto.ObserveRequest_Match_Tcp_PortRange): AddrMatch {
  const low = min === 0 ? max : min;
  const high = max === 0 ? min : max;
  if (low === 0) return invalid("has neither min nor max");
  if (high > 0xffff || low > 0xffff) return invalid(`${Math.max(low, high)} is not a port`);
  if (low > high) return invalid(`min ${low} is above max ${high}`);
  return { kind: "ports", low, high };
}

function httpMatch({ match }: proto.ObserveRequest_Match_Http): TapMatch {
  switch (match.case) {
    case "scheme":
      return { kind: "scheme", scheme: field("scheme", () => schemeOf(match.value)) };
    case "method":
      return { kind: "method", method: field("method", () => methodFromProto(match.value)) };
    case "authority":
    case "path":
      return { kind: match.case, text: field(match.case, () => textMatch(match.value)) };
    case undefined:
      return invalid("is missing");
    default:
      return assertNever(match);
  }
}

/** RFC 3986 section 3.1. */
const SCHEME = /^[a-z][a-z0-9+.-]*$/;

function schemeOf({ type }: Scheme): string {
  switch (type.case) {
    case "registered":
      if (type.value === Scheme_Registered.HTTP) return "http";
      if (type.value === Scheme_Registered.HTTPS) return "https";
      return invalid(`scheme ${String(type.value)} is unknown`);
    case "unregistered": {
      const scheme = type.value.toLowerCase();
      return SCHEME.test(scheme) ? scheme : invalid(`"${type.value}" is not a scheme`);
    }
    default:
      return invalid("is missing");
  }
}

function textMatch({ match }: proto.ObserveRequest_Match_Http_StringMatch): TextMatch {
  return match.case === undefined ? invalid("is missing") : { kind: match.case, text: match.value };
}
