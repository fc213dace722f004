import { assertNever, type Parsed } from "../../parsed.ts";
import type {
  ClientPolicy,
  ClientProtocol,
  GrpcClientRoutes,
  HttpClientRoutes,
  OpaqueClientRoute,
} from "../../policy/client-policy.ts";
import type * as proto from "../../proto/gen/outbound_pb.js";
import { grpcClientRouteFromProto, httpClientRouteFromProto } from "./client-route.ts";
import { opaqueRouteFromProto, tlsRouteFromProto } from "./connection-route.ts";
import { millisFromProto } from "./duration.ts";
import { failureAccrualFromProto } from "./failure-accrual.ts";
import { convert, each, field, invalid, optional, required } from "./field.ts";
import { metaFromProto } from "./meta.ts";

/**
 * The policy of a target. Problems name the field; whoever gets one puts `invalidClientPolicy` in force.
 *
 * @param detectTimeoutMs the proxy's own. The message must hold one too, but it is not used, as in linkerd2-proxy.
 *
 * Source: linkerd2-proxy, linkerd/proxy/client-policy/src/lib.rs.
 */
export function clientPolicyFromProto(
  policy: proto.OutboundPolicy,
  detectTimeoutMs: number,
): Parsed<ClientPolicy> {
  return convert(() => ({
    parent: required("metadata", policy.metadata, (m) => metaFromProto(m, "given")),
    protocol: required("protocol", policy.protocol, (p) => protocolFromProto(p, detectTimeoutMs)),
  }));
}

function protocolFromProto({ kind }: proto.ProxyProtocol, detectTimeoutMs: number): ClientProtocol {
  switch (kind.case) {
    case "detect":
      return field("detect", () => {
        const { timeout, opaque, http1, http2 } = kind.value;
        required("timeout", timeout, millisFromProto);
        return {
          kind: "detect",
          timeoutMs: detectTimeoutMs,
          opaque: required("opaque", opaque, opaqueFromProto),
          http1: required("http1", http1, httpFromProto),
          http2: required("http2", http2, httpFromProto),
        };
      });
    case "opaque":
      return field("opaque", () => ({ kind: "opaque", opaque: opaqueFromProto(kind.value) }));
    case "http1":
      return field("http1", () => ({ kind: "http1", http1: httpFromProto(kind.value) }));
    case "http2":
      return field("http2", () => ({ kind: "http2", http2: httpFromProto(kind.value) }));
    case "grpc":
      return field("grpc", () => ({ kind: "grpc", grpc: grpcFromProto(kind.value) }));
    case "tls":
      return field("tls", () => ({
        kind: "tls",
        routes: each("routes", kind.value.routes, tlsRouteFromProto),
      }));
    case undefined:
      return invalid("has no kind");
    default:
      return assertNever(kind);
  }
}

function httpFromProto(http: proto.ProxyProtocol_Http1 | proto.ProxyProtocol_Http2): HttpClientRoutes {
  return {
    routes: each("routes", http.routes, httpClientRouteFromProto),
    failureAccrual: optional("failure_accrual", http.failureAccrual, failureAccrualFromProto),
  };
}

function grpcFromProto(grpc: proto.ProxyProtocol_Grpc): GrpcClientRoutes {
  return {
    routes: each("routes", grpc.routes, grpcClientRouteFromProto),
    failureAccrual: optional("failure_accrual", grpc.failureAccrual, failureAccrualFromProto),
  };
}

function opaqueFromProto({ routes }: proto.ProxyProtocol_Opaque): OpaqueClientRoute | undefined {
  if (routes.length > 1)
    return field("routes", () => invalid(`has ${routes.length} elements instead of one`));
  return each("routes", routes, opaqueRouteFromProto)[0];
}
