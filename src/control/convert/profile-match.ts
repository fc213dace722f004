import { assertNever } from "../../parsed.ts";
import type { RequestMatch, ResponseMatch } from "../../policy/client-policy.ts";
import { compileRegex } from "../../policy/regex.ts";
import type * as proto from "../../proto/gen/destination_pb.js";
import { convert } from "./field.ts";
import { methodFromProto } from "./http-method.ts";

/** Deeper conditions count as unusable: they would cost a stack frame per level and request, and people write two or three. */
const DEPTH_MAX = 64;

/**
 * A condition on requests, or undefined where it is unusable. Inside `all` and `any` unusable members are left out;
 * inside `not` they spoil the whole, because its opposite would take everything.
 *
 * A path pattern spans the whole path, each of its alternatives: linkerd2-proxy puts the anchors at its two ends only, so
 * that `/a|/b` takes whatever begins with `/a`.
 *
 * Source: linkerd2-proxy, linkerd/service-profiles/src/proto.rs.
 */
export function requestMatchFromProto(
  match: proto.RequestMatch | undefined,
  depth = 0,
): RequestMatch | undefined {
  if (match === undefined || depth > DEPTH_MAX) return undefined;
  const of = match.match;
  switch (of.case) {
    case "all":
    case "any":
      return { kind: of.case, of: members(of.value.matches, (m) => requestMatchFromProto(m, depth + 1)) };
    case "not": {
      const inner = requestMatchFromProto(of.value, depth + 1);
      return inner && { kind: "not", of: inner };
    }
    case "path": {
      const source = of.value.regex.trim();
      // Alone first: unbalanced parentheses must not find their match in those around it.
      const regex = compileRegex(source).ok ? compileRegex(`^(?:${source})$`) : undefined;
      return regex?.ok === true ? { kind: "path", regex: regex.value } : undefined;
    }
    case "method": {
      const method = convert(() => methodFromProto(of.value));
      return method.ok ? { kind: "method", method: method.value } : undefined;
    }
    case undefined:
      return undefined;
    default:
      return assertNever(of);
  }
}

/** A condition on responses, or undefined where it is unusable; that includes `all` and `any` of nothing. */
export function responseMatchFromProto(
  match: proto.ResponseMatch | undefined,
  depth = 0,
): ResponseMatch | undefined {
  if (match === undefined || depth > DEPTH_MAX) return undefined;
  const of = match.match;
  switch (of.case) {
    case "all":
    case "any": {
      const usable = members(of.value.matches, (m) => responseMatchFromProto(m, depth + 1));
      return usable.length === 0 ? undefined : { kind: of.case, of: usable };
    }
    case "not": {
      const inner = responseMatchFromProto(of.value, depth + 1);
      return inner && { kind: "not", of: inner };
    }
    case "status": {
      const { min, max } = of.value;
      return isStatus(min) && isStatus(max) ? { kind: "status", low: min, high: max } : undefined;
    }
    case undefined:
      return undefined;
    default:
      return assertNever(of);
  }
}

function members<T, U>(items: readonly T[], conversion: (item: T) => U | undefined): U[] {
  return items.flatMap((item) => conversion(item) ?? []);
}

function isStatus(status: number): boolean {
  return status >= 100 && status <= 999;
}
