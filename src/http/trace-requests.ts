import type { Clock } from "../time/clock.ts";
import { findTraceContext, replaceParent } from "../wire/trace-context/propagate.ts";
import { isReportable, type TraceContext } from "../wire/trace-context/trace-context.ts";
import type { HttpService, RequestHead, ResponseHead, ResponseSink, Sink } from "./message.ts";
import { PassingResponse } from "./passing-response.ts";
import type { RequestSpan, SpanAttributes } from "./request-span.ts";
import { requestAttributes, spanName, STATUS_ATTRIBUTE } from "./span-attributes.ts";

/** Where spans go, and what they need to be made. */
export interface Tracing {
  readonly clock: Clock;
  readonly random: () => number;
  /** Never fails, and never waits. */
  readonly report: (span: RequestSpan) => void;
}

/** The two points at which one side of the proxy makes spans of a request. */
export interface TracePoints {
  /** Outside of what answers failures, so that those responses are seen too. */
  readonly server: TracePoint;
  /** Outside of what is counted about one endpoint or application: a span for each attempt. */
  readonly client: TracePoint;
}

export function tracePoints(tracing: Tracing, direction: "inbound" | "outbound"): TracePoints {
  return {
    server: new TracePoint(tracing, direction, "server"),
    client: new TracePoint(tracing, direction, "client"),
  };
}

/**
 * Puts a span into a trace that somebody else began; the proxy never begins one. The next hop learns the span as its
 * parent whether or not the trace is sampled, so that a hop that decides anew finds a chain without gaps.
 *
 * Source: linkerd2-proxy, linkerd/trace-context/src/service.rs, linkerd/app/core/src/http_tracing.rs.
 */
export class TracePoint {
  readonly #tracing: Tracing;
  readonly #direction: "inbound" | "outbound";
  readonly #kind: RequestSpan["kind"];

  constructor(tracing: Tracing, direction: "inbound" | "outbound", kind: RequestSpan["kind"]) {
    this.#tracing = tracing;
    this.#direction = direction;
    this.#kind = kind;
  }

  /** A request passes: `head` is changed in place. @returns the sink for its response. */
  begin(head: RequestHead, response: ResponseSink): ResponseSink {
    const context = findTraceContext(head.fields);
    if (context === undefined) return response;
    const spanId = drawSpanId(this.#tracing.random);
    replaceParent(head.fields, context, spanId);
    if (!isReportable(context)) return response;
    return new TracedResponse(response, this, {
      context,
      spanId,
      name: spanName(head),
      startedAtMs: this.nowMs(),
      // Now, because layers below change the head.
      attributes: [["direction", this.#direction], ...requestAttributes(head)],
    });
  }

  nowMs(): number {
    return this.#tracing.clock.nowMs();
  }

  end({ context, spanId, name, startedAtMs, attributes }: OpenSpan, endedAtMs: number, status: number): void {
    this.#tracing.report({
      kind: this.#kind,
      name,
      traceId: context.traceId,
      spanId,
      parentId: context.parentId,
      startedAtMs,
      endedAtMs,
      attributes: [...attributes, [STATUS_ATTRIBUTE, String(status)]],
    });
  }
}

/** A span whose response has not begun. */
interface OpenSpan {
  readonly context: TraceContext;
  readonly spanId: string;
  readonly name: string;
  readonly startedAtMs: number;
  readonly attributes: SpanAttributes;
}

/** Reports a span when its response begins. A request without a response leaves none. */
class TracedResponse extends PassingResponse {
  readonly #point: TracePoint;
  readonly #span: OpenSpan;

  constructor(response: ResponseSink, point: TracePoint, span: OpenSpan) {
    super(response);
    this.#point = point;
    this.#span = span;
  }

  override head(head: ResponseHead, last: boolean): void {
    const { status } = head;
    const endedAtMs = this.#point.nowMs();
    this.response.head(head, last);
    // The response does not wait for what is told about it.
    this.#point.end(this.#span, endedAtMs, status);
  }
}

/** The layer around a `TracePoint`. */
export class TraceRequests implements HttpService {
  readonly #inner: HttpService;
  readonly #point: TracePoint;

  constructor(inner: HttpService, point: TracePoint) {
    this.#inner = inner;
    this.#point = point;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    return this.#inner.call(head, last, this.#point.begin(head, response));
  }
}

/** Eight bytes by chance, never all zero: that would mean no span. Ids must differ, they need not be secret. */
function drawSpanId(random: () => number): string {
  const high = Math.floor(random() * WORD);
  const low = Math.floor(random() * WORD);
  return digits(high) + digits(high === 0 && low === 0 ? 1 : low);
}
const WORD = 2 ** 32;

function digits(word: number): string {
  return word.toString(16).padStart(8, "0");
}
