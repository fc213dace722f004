import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from "@grpc/grpc-js";
import { create, fromBinary } from "@bufbuild/protobuf";
import type { KeyValue } from "../../src/proto/gen/otlp_common_pb.js";
import { SpanSchema, type Span } from "../../src/proto/gen/otlp_trace_pb.js";
import {
  ExportTraceServiceResponseSchema,
  TraceService,
  type ExportTraceServiceRequest,
  type ExportTraceServiceResponse,
} from "../../src/proto/gen/otlp_trace_service_pb.js";
import { addGrpcService } from "../../src/proto/grpc-service.ts";

/** A span in the forms that tests compare. */
export interface CollectedSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly flags: number;
  readonly attributes: Readonly<Record<string, string | bigint>>;
  readonly resource: Readonly<Record<string, string | bigint>>;
}

type Reply = sendUnaryData<ExportTraceServiceResponse>;

/** A collector over a real socket. It takes everything, unless a test says otherwise. */
export class Collector {
  readonly spans: CollectedSpan[] = [];
  /** Spans of each message, in order. */
  readonly batches: number[] = [];
  /** Answers in place of "taken"; the spans are then not kept. */
  answer: ((reply: Reply) => void) | undefined;
  /** Messages that came, whatever was answered. */
  asked = 0;
  port = 0;
  #server = new Server();

  /** Listens; after a `kill`, on the same port again. */
  async start(): Promise<this> {
    this.#server = new Server();
    addGrpcService(this.#server, TraceService, {
      export: (
        call: ServerUnaryCall<ExportTraceServiceRequest, ExportTraceServiceResponse>,
        reply: Reply,
      ) => {
        this.asked++;
        if (this.answer !== undefined) return this.answer(reply);
        const spans = call.request.resourceSpans.flatMap(({ resource, scopeSpans }) => {
          const about = textOf(resource?.attributes ?? []);
          return scopeSpans.flatMap((scope) =>
            scope.spans.map((bytes) => collected(fromBinary(SpanSchema, bytes), about)),
          );
        });
        this.spans.push(...spans);
        this.batches.push(spans.length);
        reply(null, create(ExportTraceServiceResponseSchema));
      },
    });
    this.port = await new Promise<number>((resolve, reject) =>
      this.#server.bindAsync(`127.0.0.1:${this.port}`, ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      ),
    );
    return this;
  }

  /** Ends at once, with all of its connections. */
  kill(): void {
    this.#server.forceShutdown();
  }
}

function collected(span: Span, resource: CollectedSpan["resource"]): CollectedSpan {
  const { name, kind, startTimeUnixNano, endTimeUnixNano, flags } = span;
  return {
    name,
    kind,
    traceId: hex(span.traceId),
    spanId: hex(span.spanId),
    parentId: hex(span.parentSpanId),
    startNs: startTimeUnixNano,
    endNs: endTimeUnixNano,
    flags,
    attributes: textOf(span.attributes),
    resource,
  };
}

function textOf(attributes: readonly KeyValue[]): Record<string, string | bigint> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value?.value.value ?? ""]));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
