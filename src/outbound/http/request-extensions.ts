import type { HttpService, RequestHead, ResponseSink, Sink } from "../../http/message.ts";
import type { StreamTimeouts } from "../../http/timeouts.ts";
import type { ClientRule, GrpcRetry, HttpRetry, Timeouts } from "../../policy/client-policy.ts";
import { findField, headerName } from "../../wire/header-field.ts";
import { REPLAY_REQUEST_BYTES } from "../../wire/limits.ts";
import { overrideRetry, takeOverrides, type RequestOverrides } from "./request-overrides.ts";
import { RetriedExchange, type RetryContext } from "./retry.ts";
import { retryPolicyOf, type RetryPolicy } from "./retry-policy.ts";

export type RetriedRule = ClientRule<unknown, HttpRetry | GrpcRetry>;

/** Whether a rule asks for anything that `RequestExtensions` does: others do without the layer. */
export function needsExtensions({ timeouts, retry, allowL5dRequestHeaders }: RetriedRule): boolean {
  const { requestMs, responseMs, idleMs } = timeouts;
  return (
    retry !== undefined ||
    allowL5dRequestHeaders ||
    requestMs !== undefined ||
    responseMs !== undefined ||
    idleMs !== undefined
  );
}

/**
 * Settles for each request which timeouts hold and how it is retried, by its rule and where the rule allows it by its own
 * headers. Timeouts travel with the head, for the endpoint to enforce; the deadline runs from here over all attempts.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/logical/policy/route/extensions.rs.
 */
export class RequestExtensions implements HttpService {
  readonly #context: RetryContext;
  readonly #allowHeaders: boolean;
  readonly #retry: RetryPolicy | undefined;
  readonly #timeouts: Timeouts;
  /** What holds where nothing about it depends on the request. */
  readonly #shared: StreamTimeouts | undefined;

  constructor({ timeouts, retry, allowL5dRequestHeaders }: RetriedRule, context: RetryContext) {
    this.#context = context;
    this.#allowHeaders = allowL5dRequestHeaders;
    this.#retry = retry === undefined ? undefined : retryPolicyOf(retry);
    this.#timeouts = timeouts;
    this.#shared = streamTimeouts(timeouts, this.#retry?.timeoutMs, 0);
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const overrides = this.#allowHeaders ? takeOverrides(head.fields) : undefined;
    const retry = overrides === undefined ? this.#retry : overrideRetry(this.#retry, overrides);
    head.timeouts = this.#timeoutsOf(overrides, retry);
    const { attempts } = this.#context;
    if (retry === undefined || !isReplayable(head, last, retry)) return attempts.call(head, last, response);
    return RetriedExchange.begin(this.#context, retry, head, last, response);
  }

  #timeoutsOf(
    overrides: RequestOverrides | undefined,
    retry: RetryPolicy | undefined,
  ): StreamTimeouts | undefined {
    const rule = this.#timeouts;
    if (overrides === undefined) {
      if (rule.requestMs === undefined) return this.#shared;
      return streamTimeouts(rule, retry?.timeoutMs, this.#context.clock.nowMs());
    }
    const { requestMs = rule.requestMs, responseMs = rule.responseMs } = overrides;
    const timeouts = { requestMs, responseMs, idleMs: rule.idleMs };
    return streamTimeouts(timeouts, retry?.timeoutMs, this.#context.clock.nowMs());
  }
}

function streamTimeouts(
  { requestMs, responseMs, idleMs }: Timeouts,
  headersMs: number | undefined,
  nowMs: number,
): StreamTimeouts | undefined {
  if ((requestMs ?? responseMs ?? idleMs ?? headersMs) === undefined) return undefined;
  const deadlineMs = requestMs === undefined ? Infinity : nowMs + requestMs;
  return { headersMs, responseMs, idleMs, requestMs, deadlineMs };
}

/** A tunnel cannot be made twice, nor a body be kept that says it is too large. */
function isReplayable(head: RequestHead, last: boolean, { maxRequestBytes }: RetryPolicy): boolean {
  if (head.upgrade || head.path === undefined) return false;
  if (last) return true;
  const length = findField(head.fields, CONTENT_LENGTH);
  return length === undefined || Number(length.value) <= Math.min(maxRequestBytes, REPLAY_REQUEST_BYTES);
}

const CONTENT_LENGTH = headerName("content-length");
