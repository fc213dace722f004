import { matchHeader } from "./header-match.ts";
import { endOfPath, type RequestView } from "./request-view.ts";
import type { GrpcMatch } from "./route-match.ts";
import type { Verdict } from "./verdict.ts";

/** A request as a remote procedure call. */
export interface GrpcRequestParts {
  readonly service: string;
  readonly method: string;
  readonly request: RequestView;
}

/** Takes a call apart; undefined if the request is no POST of the form `/service/method`. */
export function grpcRequestParts(request: RequestView): GrpcRequestParts | undefined {
  if (request.method.value !== "POST") return undefined;
  const target = request.path?.value ?? "";
  const path = target.slice(0, endOfPath(target));
  const middle = path.indexOf("/", 1);
  if (!path.startsWith("/") || middle < 2 || middle === path.length - 1) return undefined;
  if (path.indexOf("/", middle + 1) >= 0) return undefined;
  return { service: path.slice(1, middle), method: path.slice(middle + 1), request };
}

/** Whether all conditions of a match hold. Source: linkerd2-proxy, linkerd/http/route/src/grpc/match.rs. */
export function matchGrpc(match: GrpcMatch, parts: GrpcRequestParts): Verdict {
  if (isSet(match.service) && match.service !== parts.service) return "no_match";
  if (isSet(match.method) && match.method !== parts.method) return "no_match";
  let verdict: Verdict = "match";
  for (const header of match.headers) {
    const judged = matchHeader(header, parts.request.fields);
    if (judged === "no_match") return judged;
    if (judged === "unjudged") verdict = judged;
  }
  return verdict;
}

function isSet(text: string | undefined): text is string {
  return text !== undefined && text !== "";
}
