import { assertNever } from "../../parsed.ts";
import { compileRegex } from "../../policy/regex.ts";
import type { HeaderMatch, HostMatch, HttpMatch, PathMatch, QueryMatch } from "../../policy/route-match.ts";
import type * as proto from "../../proto/gen/http_route_pb.js";
import { each, field, invalid, optional, valueOf } from "./field.ts";
import { headerNameFromProto } from "./header.ts";
import { methodFromProto } from "./http-method.ts";

export function hostMatchFromProto({ match }: proto.HostMatch): HostMatch {
  switch (match.case) {
    case "exact":
      return { kind: "exact", host: match.value.toLowerCase() };
    case "suffix":
      return { kind: "suffix", reverseLabels: match.value.reverseLabels.map((l) => l.toLowerCase()) };
    case undefined:
      return invalid("has no match");
    default:
      return assertNever(match);
  }
}

export function httpMatchFromProto(match: proto.HttpRouteMatch): HttpMatch {
  return {
    path: optional("path", match.path, pathMatchFromProto),
    headers: each("headers", match.headers, headerMatchFromProto),
    query: each("query_params", match.queryParams, queryMatchFromProto),
    method: optional("method", match.method, methodFromProto),
  };
}

function pathMatchFromProto({ kind }: proto.PathMatch): PathMatch {
  switch (kind.case) {
    case "exact":
      return { kind: "exact", path: kind.value };
    case "prefix":
      return { kind: "prefix", prefix: kind.value };
    case "regex":
      return { kind: "regex", regex: field("regex", () => valueOf(compileRegex(kind.value))) };
    case undefined:
      return invalid("has no match");
    default:
      return assertNever(kind);
  }
}

/** Also of gRPC matches. Exact values are bytes; they are compared as the latin1 text that headers are kept as. */
export function headerMatchFromProto({ name: text, value }: proto.HeaderMatch): HeaderMatch {
  const name = field("name", () => headerNameFromProto(text));
  switch (value.case) {
    case "exact":
      return { kind: "exact", name, value: Buffer.from(value.value).toString("latin1") };
    case "regex":
      return { kind: "regex", name, regex: field("regex", () => valueOf(compileRegex(value.value))) };
    case undefined:
      return invalid("has no match");
    default:
      return assertNever(value);
  }
}

function queryMatchFromProto({ name, value }: proto.QueryParamMatch): QueryMatch {
  if (name === "") return field("name", () => invalid("is missing"));
  switch (value.case) {
    case "exact":
      return { kind: "exact", name, value: value.value };
    case "regex":
      return { kind: "regex", name, regex: field("regex", () => valueOf(compileRegex(value.value))) };
    case undefined:
      return invalid("has no match");
    default:
      return assertNever(value);
  }
}
