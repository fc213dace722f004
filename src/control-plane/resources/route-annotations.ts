import { parsed, unparsed, type Parsed } from "../../parsed.ts";
import type { Found } from "./found.ts";
import { annotation } from "./object-meta.ts";
import { BAD, parsedText, type Bad } from "./reader.ts";
import { annotationDuration } from "./words.ts";

/** Timeouts and retries that annotations of a route, or of its parent, ask for. */
export interface RouteAnnotations {
  readonly timeouts: RouteTimeouts;
  readonly httpRetry: RouteRetry<StatusRange> | undefined;
  readonly grpcRetry: RouteRetry<GrpcCondition> | undefined;
}

/** Milliseconds; undefined means no limit. */
export interface RouteTimeouts {
  readonly request: number | undefined;
  readonly response: number | undefined;
  readonly idle: number | undefined;
}

export interface RouteRetry<Condition> {
  readonly limit: number;
  readonly timeoutMs: number | undefined;
  readonly conditions: readonly Condition[];
}

/** HTTP statuses, both ends included. */
export interface StatusRange {
  readonly start: number;
  readonly end: number;
}

export const GRPC_CONDITIONS = [
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
] as const;
export type GrpcCondition = (typeof GRPC_CONDITIONS)[number];

/** Retries if other retry annotations are set and the limit is not. Source: linkerd2, policy-controller/grpc/src/outbound. */
const DEFAULT_RETRY_LIMIT = 1;

const httpConditions = parsedText('statuses such as "5xx,gateway-error,429,500-504"', (value) =>
  parseAll(value, parseStatuses),
);

const grpcConditions = parsedText(`one or more of ${GRPC_CONDITIONS.join(", ")}`, (value) =>
  parseAll(value, (word) => {
    const condition = GRPC_CONDITIONS.find((known) => known === word.toLowerCase());
    return condition === undefined ? unparsed(`"${word}" is not a condition`) : parsed(condition);
  }),
);

const retryLimit = parsedText("a whole number from 0 to 65535", (value) =>
  /^[0-9]{1,5}$/.test(value) && Number(value) <= 65535 ? parsed(Number(value)) : unparsed("not a limit"),
);

/** Reads `timeout.linkerd.io/*` and `retry.linkerd.io/*`. Source: linkerd2, policy-controller/k8s/index/src/outbound/index.rs, index/{http,grpc}.rs. */
export function routeAnnotations(document: Found): RouteAnnotations | Bad {
  const request = annotation(document, "timeout.linkerd.io/request", annotationDuration);
  const response = annotation(document, "timeout.linkerd.io/response", annotationDuration);
  const idle = annotation(document, "timeout.linkerd.io/idle", annotationDuration);
  const limit = annotation(document, "retry.linkerd.io/limit", retryLimit);
  const timeout = annotation(document, "retry.linkerd.io/timeout", annotationDuration);
  const http = annotation(document, "retry.linkerd.io/http", httpConditions);
  const grpc = annotation(document, "retry.linkerd.io/grpc", grpcConditions);
  if (request === BAD || response === BAD || idle === BAD) return BAD;
  if (limit === BAD || timeout === BAD || http === BAD || grpc === BAD) return BAD;
  const common = { limit: limit || DEFAULT_RETRY_LIMIT, timeoutMs: timeout === 0 ? undefined : timeout };
  const asked = (limit ?? 0) > 0 || common.timeoutMs !== undefined;
  return {
    timeouts: { request, response, idle },
    httpRetry: asked || http !== undefined ? { ...common, conditions: http ?? [] } : undefined,
    grpcRetry: asked || grpc !== undefined ? { ...common, conditions: grpc ?? [] } : undefined,
  };
}

function parseAll<T>(list: string, parse: (word: string) => Parsed<T>): Parsed<readonly T[]> {
  const values: T[] = [];
  for (const word of list.split(",")) {
    const value = parse(word.trim());
    if (!value.ok) return value;
    values.push(value.value);
  }
  return parsed(values);
}

function parseStatuses(word: string): Parsed<StatusRange> {
  const lower = word.toLowerCase();
  if (lower === "5xx") return parsed({ start: 500, end: 599 });
  if (lower === "gateway-error") return parsed({ start: 502, end: 504 });
  const match = /^([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?$/.exec(word);
  const start = Number(match?.[1] ?? "NaN");
  const end = Number(match?.[2] ?? start);
  return start <= end ? parsed({ start, end }) : unparsed(`"${word}" is not a status`);
}
