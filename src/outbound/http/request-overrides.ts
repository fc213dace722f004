import {
  L5D_REQUEST_TIMEOUT,
  L5D_RESPONSE_TIMEOUT,
  L5D_RETRY_GRPC,
  L5D_RETRY_HTTP,
  L5D_RETRY_LIMIT,
  L5D_RETRY_TIMEOUT,
  L5D_TIMEOUT,
} from "../../headers.ts";
import type { BackoffPolicy } from "../../policy/client-policy.ts";
import { parseDuration } from "../../time/duration.ts";
import { headerName, type HeaderField, type HeaderName } from "../../wire/header-field.ts";
import { REPLAY_REQUEST_BYTES } from "../../wire/limits.ts";
import type { RetryPolicy, StatusRange } from "./retry-policy.ts";

/** What a request says about its own timeouts and retries. Undefined leaves it to the rule. */
export interface RequestOverrides {
  readonly statusRanges: readonly StatusRange[] | undefined;
  readonly codes: ReadonlySet<number> | undefined;
  readonly maxRetries: number | undefined;
  readonly tryTimeoutMs: number | undefined;
  readonly requestMs: number | undefined;
  readonly responseMs: number | undefined;
}

/**
 * Takes the `l5d-*` headers of timeouts and retries out of a request, in place: all of them go, valid or not. Of headers
 * that are repeated the first counts; a value that means nothing is as if it were not there.
 *
 * To be called only where the rule allows it. Undefined if there was none.
 *
 * Source: outbound 8.6; linkerd2-proxy, linkerd/app/outbound/src/http/logical/policy/route/extensions.rs.
 */
export function takeOverrides(fields: HeaderField[]): RequestOverrides | undefined {
  let found: Map<HeaderName, string> | undefined;
  let kept = 0;
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (field === undefined) continue;
    if (!OVERRIDES.has(field.name)) {
      fields[kept++] = field;
      continue;
    }
    found ??= new Map();
    if (!found.has(field.name)) found.set(field.name, field.value);
  }
  if (found === undefined) return undefined;
  fields.length = kept;
  return {
    statusRanges: read(found, RETRY_HTTP, parseStatuses),
    codes: read(found, RETRY_GRPC, parseCodes),
    maxRetries: read(found, RETRY_LIMIT, parseLimit),
    tryTimeoutMs: read(found, RETRY_TIMEOUT, parseDuration),
    requestMs: read(found, REQUEST_TIMEOUT, parseDuration) ?? read(found, TIMEOUT, parseDuration),
    responseMs: read(found, RESPONSE_TIMEOUT, parseDuration),
  };
}

/** The retries of a request: those of its rule as changed, or where the rule has none those that any header asks for. */
export function overrideRetry(
  rule: RetryPolicy | undefined,
  { statusRanges, codes, maxRetries, tryTimeoutMs }: RequestOverrides,
): RetryPolicy | undefined {
  if (rule === undefined) {
    const asked = statusRanges ?? codes ?? maxRetries ?? tryTimeoutMs;
    if (asked === undefined) return undefined;
  }
  return {
    statusRanges: statusRanges ?? rule?.statusRanges,
    codes: codes ?? rule?.codes,
    maxRetries: maxRetries ?? rule?.maxRetries ?? ASKED_RETRIES,
    maxRequestBytes: rule?.maxRequestBytes ?? REPLAY_REQUEST_BYTES,
    timeoutMs: tryTimeoutMs ?? rule?.timeoutMs,
    backoff: rule === undefined ? ASKED_BACKOFF : rule.backoff,
  };
}

/** What a request gets that asks for retries where its rule has none. */
const ASKED_RETRIES = 1;
const ASKED_BACKOFF: BackoffPolicy = { minMs: 25, maxMs: 250, jitter: 1 };

function read<T>(
  found: ReadonlyMap<HeaderName, string>,
  name: HeaderName,
  parse: (text: string) => T | undefined,
): T | undefined {
  const text = found.get(name);
  return text === undefined || !/^[\t\x20-\x7e]*$/.test(text) ? undefined : parse(text);
}

/** A list without a single valid item still counts: no status is retried then. */
function parseStatuses(list: string): StatusRange[] {
  const ranges: StatusRange[] = [];
  for (const item of list.split(",")) {
    const range = parseRange(item);
    if (range !== undefined) ranges.push(range);
  }
  return ranges;
}

function parseRange(item: string): StatusRange | undefined {
  const word = item.toLowerCase();
  if (word === "5xx") return { low: 500, high: 599 };
  if (word === "gateway-error") return { low: 502, high: 504 };
  const match = /^([0-9]{3})(?:-([0-9]{3}))?$/.exec(word);
  if (match === null) return undefined;
  const low = Number(match[1]);
  const high = Number(match[2] ?? low);
  return low >= 100 && low <= high && high <= 599 ? { low, high } : undefined;
}

const CODES: ReadonlyMap<string, number> = new Map([
  ["cancelled", 1],
  ["deadline-exceeded", 4],
  ["resource-exhausted", 8],
  ["internal", 13],
  ["unavailable", 14],
]);

function parseCodes(list: string): ReadonlySet<number> {
  const codes = new Set<number>();
  for (const item of list.split(",")) {
    const code = CODES.get(item.toLowerCase());
    if (code !== undefined) codes.add(code);
  }
  return codes;
}

function parseLimit(text: string): number | undefined {
  if (!/^[0-9]+$/.test(text)) return undefined;
  const limit = Number(text);
  return Number.isSafeInteger(limit) ? limit : undefined;
}

const RETRY_HTTP = headerName(L5D_RETRY_HTTP);
const RETRY_GRPC = headerName(L5D_RETRY_GRPC);
const RETRY_LIMIT = headerName(L5D_RETRY_LIMIT);
const RETRY_TIMEOUT = headerName(L5D_RETRY_TIMEOUT);
const TIMEOUT = headerName(L5D_TIMEOUT);
const REQUEST_TIMEOUT = headerName(L5D_REQUEST_TIMEOUT);
const RESPONSE_TIMEOUT = headerName(L5D_RESPONSE_TIMEOUT);

const OVERRIDES: ReadonlySet<HeaderName> = new Set([
  RETRY_HTTP,
  RETRY_GRPC,
  RETRY_LIMIT,
  RETRY_TIMEOUT,
  TIMEOUT,
  REQUEST_TIMEOUT,
  RESPONSE_TIMEOUT,
]);
