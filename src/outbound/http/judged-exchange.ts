import type { FailureHint, Load } from "../../balance/load.ts";
import { failureHint } from "../../classify/failure-hint.ts";
import { classifyGrpc, isGrpcDegraded, parseGrpcStatus } from "../../classify/grpc.ts";
import { classifyHttp, isHttpDegraded } from "../../classify/http.ts";
import { parseRetryAfter, parseRetryPushback } from "../../classify/retry-after.ts";
import type { ErrorCode, ProxyError } from "../../errors/proxy-error.ts";
import type { Outcome } from "../../failure-accrual/accrual-rule.ts";
import type { Permit } from "../../failure-accrual/breaker.ts";
import { GRPC_CONTENT_TYPE, GRPC_RETRY_PUSHBACK_MS, GRPC_STATUS } from "../../headers.ts";
import type { EndpointMetrics } from "../../http/endpoint-metrics.ts";
import { grpcCodeOf } from "../../http/grpc-code.ts";
import type { RequestHead, ResponseHead, ResponseSink } from "../../http/message.ts";
import { wallMs, type Clock } from "../../time/clock.ts";
import { findField, headerName, type HeaderField } from "../../wire/header-field.ts";
import { BalancedExchange } from "./balanced-exchange.ts";
import type { EndpointBreaker } from "./breaker.ts";

/** What becomes of the answers of an endpoint besides being counted. */
export interface Judgement {
  /** Undefined where the policy wants no breaker. */
  readonly breaker: EndpointBreaker | undefined;
  readonly isAlwaysGrpc: boolean;
  /** Whether failing answers are load. */
  readonly penalizes: boolean;
}

/**
 * An exchange whose answer is judged: for the endpoint's circuit breaker when it is over, for its load when its head is
 * there. Endpoints without either use `BalancedExchange` alone.
 *
 * Source: outbound 6.3 and 7.2; linkerd2-proxy, linkerd/http/classify/src/channel.rs, linkerd/load-biaser/src/lib.rs.
 */
export class JudgedExchange extends BalancedExchange {
  readonly #judgement: Judgement;
  readonly #isGrpc: boolean;
  readonly #permit: Permit;
  #status = 0;
  #grpcCode: number | undefined = undefined;
  #loadEnded = false;

  constructor(
    judgement: Judgement,
    metrics: EndpointMetrics,
    load: Load,
    clock: Clock,
    head: RequestHead,
    response: ResponseSink,
  ) {
    super(metrics, load, clock, head, response);
    this.#judgement = judgement;
    // Asked now: layers below change the head in place.
    this.#isGrpc = judgement.isAlwaysGrpc || hasGrpcContentType(head.fields);
    this.#permit = judgement.breaker?.begin() ?? 0;
  }

  protected override onHead(head: ResponseHead): void {
    super.onHead(head);
    this.#status = head.status;
    if (this.#isGrpc) this.#grpcCode = grpcCodeOf(head.fields);
    if (!this.#judgement.penalizes) return;
    const hint = hintOf(head);
    // The body of a failing response says nothing more about its endpoint.
    if (hint !== undefined) this.endLoad(hint);
  }

  protected override endLoad(hint: FailureHint | undefined): void {
    if (this.#loadEnded) return;
    this.#loadEnded = true;
    super.endLoad(hint);
  }

  protected override onTrailers(fields: readonly HeaderField[]): void {
    super.onTrailers(fields);
    if (this.#isGrpc) this.#grpcCode ??= grpcCodeOf(fields);
  }

  protected override onEnd(error: ProxyError | undefined, canceled: boolean): void {
    super.onEnd(error, canceled);
    const { breaker } = this.#judgement;
    if (breaker === undefined) return;
    const outcome = this.#outcome(error, canceled);
    if (outcome === undefined) breaker.abandon(this.#permit);
    else breaker.record(outcome);
  }

  /** Undefined for a request that was given up before an answer. */
  #outcome(error: ProxyError | undefined, canceled: boolean): Outcome | undefined {
    if (error !== undefined) {
      const isGivenUp = canceled || error.code === "canceled";
      // A time limit of the route ends an exchange from above, yet it is this endpoint that was too slow.
      if (!isGivenUp || isTimeout(error)) return "failure";
      if (this.#status === 0) return undefined;
    }
    return this.#isGrpc ? grpcOutcome(this.#grpcCode) : httpOutcome(this.#status);
  }
}

function isTimeout({ code }: ProxyError): boolean {
  return TIMEOUTS.has(code);
}

const TIMEOUTS: ReadonlySet<ErrorCode> = new Set([
  "request_timeout",
  "response_timeout",
  "response_headers_timeout",
  "stream_idle_timeout",
]);

function httpOutcome(status: number): Outcome {
  return isHttpDegraded(status) ? "degraded" : classifyHttp(status);
}

/** The HTTP status does not matter. A stream that ended without a status is one that the client left early: a success. */
function grpcOutcome(code: number | undefined): Outcome {
  return isGrpcDegraded(code) ? "degraded" : classifyGrpc(code);
}

function hasGrpcContentType(fields: readonly HeaderField[]): boolean {
  return findField(fields, CONTENT_TYPE)?.value.startsWith(GRPC_CONTENT_TYPE) === true;
}

/** What a response head says about its endpoint's health, with the wait that the server asks for. */
export function hintOf({ status, fields }: ResponseHead): FailureHint | undefined {
  const isGrpc = status === 200 && hasGrpcContentType(fields);
  const grpcStatus = isGrpc ? findField(fields, GRPC_STATUS_NAME)?.value : undefined;
  const kind = failureHint(status, grpcStatus === undefined ? undefined : parseGrpcStatus(grpcStatus));
  if (kind === undefined) return undefined;
  return { kind, retryAfterMs: kind === "internal" ? undefined : waitOf(isGrpc, fields) };
}

function waitOf(isGrpc: boolean, fields: readonly HeaderField[]): number | undefined {
  const text = findField(fields, isGrpc ? GRPC_RETRY_PUSHBACK : RETRY_AFTER)?.value;
  if (text === undefined) return undefined;
  return isGrpc ? parseRetryPushback(text) : parseRetryAfter(text, wallMs());
}

const CONTENT_TYPE = headerName("content-type");
const GRPC_STATUS_NAME = headerName(GRPC_STATUS);
const RETRY_AFTER = headerName("retry-after");
const GRPC_RETRY_PUSHBACK = headerName(GRPC_RETRY_PUSHBACK_MS);
