import { assertNever } from "../../parsed.ts";
import type { Filter, HeaderModifier, PathModifier, Ratio } from "../../policy/filter.ts";
import type { GrpcFailureInjector } from "../../proto/gen/grpc_route_pb.js";
import type * as proto from "../../proto/gen/http_route_pb.js";
import { Scheme_Registered, type Scheme } from "../../proto/gen/http_types_pb.js";
import { each, field, invalid, optional } from "./field.ts";
import { headerNameFromProto, headersFromProto } from "./header.ts";

const ALWAYS: Ratio = { numerator: 1, denominator: 1 };
/** RFC 3986: the characters of a path. What the control plane writes here goes into a `location` header. */
const PATH = /^\/[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]*$/;
const HOST = /^[A-Za-z0-9._~%!$&'()*+,;=[\]:-]+$/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*$/;

export function httpFailureFromProto(injector: proto.HttpFailureInjector): Filter {
  const { status, message } = injector;
  return {
    kind: "http_failure",
    status: statusFromProto(status),
    message,
    ratio: optional("ratio", injector.ratio, ratioFromProto) ?? ALWAYS,
  };
}

export function grpcFailureFromProto(injector: GrpcFailureInjector): Filter {
  const { code, message } = injector;
  if (code > 0xffff) return field("code", () => invalid(`${code} does not fit 16 bits`));
  return {
    kind: "grpc_failure",
    code,
    message,
    ratio: optional("ratio", injector.ratio, ratioFromProto) ?? ALWAYS,
  };
}

export function headerModifierFromProto(
  modifier: proto.RequestHeaderModifier | proto.ResponseHeaderModifier,
): HeaderModifier {
  return {
    add: field("add", () => headersFromProto(modifier.add)),
    set: field("set", () => headersFromProto(modifier.set)),
    remove: each("remove", modifier.remove, headerNameFromProto),
  };
}

export function redirectFromProto(redirect: proto.RequestRedirect): Filter {
  const { host, port, status } = redirect;
  if (port > 65535) return field("port", () => invalid(`${port} is above 65535`));
  if (host !== "" && !HOST.test(host)) return field("host", () => invalid(`"${host}" is not a host`));
  return {
    kind: "redirect",
    scheme: optional("scheme", redirect.scheme, schemeFromProto),
    host: host === "" ? undefined : host,
    port: port === 0 ? undefined : port,
    path: optional("path", redirect.path, pathModifierFromProto),
    status: status === 0 ? 301 : statusFromProto(status),
  };
}

function statusFromProto(status: number): number {
  return status >= 100 && status <= 999
    ? status
    : field("status", () => invalid(`${status} is not an HTTP status`));
}

function ratioFromProto({ numerator, denominator }: proto.Ratio): Ratio {
  if (denominator === 0) return invalid("has the denominator 0");
  return numerator <= denominator
    ? { numerator, denominator }
    : invalid(`${numerator}/${denominator} is above 1`);
}

function schemeFromProto({ type }: Scheme): string {
  switch (type.case) {
    case "registered":
      // A number of a newer API has no name here.
      return Scheme_Registered[type.value]?.toLowerCase() ?? invalid(`scheme ${type.value} is unknown`);
    case "unregistered":
      return SCHEME.test(type.value) ? type.value : invalid(`"${type.value}" is not a scheme`);
    default:
      return invalid("has no scheme");
  }
}

function pathModifierFromProto({ replace }: proto.PathModifier): PathModifier {
  switch (replace.case) {
    case "full":
      return { kind: "full", path: field("full", () => pathFromProto(replace.value, true)) };
    case "prefix":
      return { kind: "prefix", replacement: field("prefix", () => pathFromProto(replace.value, false)) };
    case undefined:
      return invalid("has no replacement");
    default:
      return assertNever(replace);
  }
}

function pathFromProto(text: string, mayHaveQuery: boolean): string {
  if (!PATH.test(text)) return invalid(`"${text}" is not a path from the root`);
  return mayHaveQuery || !text.includes("?") ? text : invalid(`"${text}" has a query`);
}
