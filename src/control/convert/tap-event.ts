import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { DurationSchema, type Duration } from "@bufbuild/protobuf/wkt";
import type { Labels } from "../../metrics/registry.ts";
import { assertNever } from "../../parsed.ts";
import {
  HttpMethod_Registered,
  Scheme_Registered,
  type HeadersSchema,
  type HttpMethodSchema,
  type SchemeSchema,
} from "../../proto/gen/http_types_pb.js";
import {
  TapEvent_ProxyDirection,
  TapEventSchema,
  type EosSchema,
  type TapEvent as TapEventMessage,
  type TapEvent_HttpSchema,
} from "../../proto/gen/tap_pb.js";
import type { TapEnd, TapEvent } from "../../tap/event.ts";
import type { HeaderField } from "../../wire/header-field.ts";
import { tcpAddressOf } from "./net.ts";

/** An event as it travels to the observer. Source: linkerd2-proxy, linkerd/proxy/tap/src/grpc/server.rs. */
export function tapEventToProto(event: TapEvent): TapEventMessage {
  const { direction, source, sourceLabels, destination, destinationLabels, routeLabels } = event.request;
  return create(TapEventSchema, {
    source: source && tcpAddressOf(source),
    sourceMeta: { labels: mapOf(sourceLabels) },
    destination: tcpAddressOf(destination),
    destinationMeta: { labels: mapOf(destinationLabels) },
    routeMeta: routeLabels && { labels: mapOf(routeLabels) },
    proxyDirection:
      direction === "inbound" ? TapEvent_ProxyDirection.INBOUND : TapEvent_ProxyDirection.OUTBOUND,
    event: { case: "http", value: httpEvent(event) },
  });
}

function httpEvent({ id: { tap, request }, step }: TapEvent): MessageInitShape<typeof TapEvent_HttpSchema> {
  const id = { base: tap, stream: BigInt(request) };
  switch (step.kind) {
    case "request_init": {
      const { method, scheme, authority, path, headers } = step;
      const value = {
        id,
        method: methodOf(method),
        scheme: scheme === undefined ? undefined : schemeOf(scheme),
        authority: textOf(authority),
        path: textOf(path),
        headers: headersOf(headers),
      };
      return { event: { case: "requestInit", value } };
    }
    case "response_init": {
      const { sinceRequestMs, status, headers } = step;
      const value = {
        id,
        sinceRequestInit: durationOf(sinceRequestMs),
        httpStatus: status,
        headers: headersOf(headers),
      };
      return { event: { case: "responseInit", value } };
    }
    case "response_end": {
      const { sinceRequestMs, sinceResponseMs, responseBytes, end, trailers } = step;
      const value = {
        id,
        sinceRequestInit: durationOf(sinceRequestMs),
        sinceResponseInit: sinceResponseMs === undefined ? undefined : durationOf(sinceResponseMs),
        responseBytes: BigInt(responseBytes),
        eos: eosOf(end),
        trailers: headersOf(trailers),
      };
      return { event: { case: "responseEnd", value } };
    }
    default:
      return assertNever(step);
  }
}

function eosOf(end: TapEnd): MessageInitShape<typeof EosSchema> {
  switch (end.kind) {
    case "grpc":
      return { end: { case: "grpcStatusCode", value: end.status } };
    case "reset":
      return { end: { case: "resetErrorCode", value: end.code } };
    case "plain":
      return {};
    default:
      return assertNever(end);
  }
}

function methodOf(method: string): MessageInitShape<typeof HttpMethodSchema> {
  const registered = METHODS.get(method);
  return registered === undefined
    ? { type: { case: "unregistered", value: textOf(method) } }
    : { type: { case: "registered", value: registered } };
}

const METHODS = new Map([
  ["GET", HttpMethod_Registered.GET],
  ["POST", HttpMethod_Registered.POST],
  ["PUT", HttpMethod_Registered.PUT],
  ["DELETE", HttpMethod_Registered.DELETE],
  ["PATCH", HttpMethod_Registered.PATCH],
  ["OPTIONS", HttpMethod_Registered.OPTIONS],
  ["CONNECT", HttpMethod_Registered.CONNECT],
  ["HEAD", HttpMethod_Registered.HEAD],
  ["TRACE", HttpMethod_Registered.TRACE],
]);

function schemeOf(scheme: string): MessageInitShape<typeof SchemeSchema> {
  switch (scheme.toLowerCase()) {
    case "http":
      return { type: { case: "registered", value: Scheme_Registered.HTTP } };
    case "https":
      return { type: { case: "registered", value: Scheme_Registered.HTTPS } };
    default:
      return { type: { case: "unregistered", value: textOf(scheme) } };
  }
}

function headersOf(
  fields: readonly HeaderField[] | undefined,
): MessageInitShape<typeof HeadersSchema> | undefined {
  return (
    fields && {
      headers: fields.map((f) => ({ name: textOf(f.name.text), value: Buffer.from(f.value, "latin1") })),
    }
  );
}

/** Latin1 text of the wire as what protobuf takes: bytes that are no UTF-8 become replacement characters. */
function textOf(latin1: string): string {
  return Buffer.from(latin1, "latin1").toString("utf8");
}

function mapOf(labels: Labels): { [name: string]: string } {
  return Object.fromEntries(labels);
}

function durationOf(ms: number): Duration {
  const nanos = Math.max(0, Math.round(ms * 1e6));
  return create(DurationSchema, { seconds: BigInt(Math.floor(nanos / 1e9)), nanos: nanos % 1e9 });
}
