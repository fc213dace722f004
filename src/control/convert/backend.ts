import { parseAddr, type NameAddr } from "../../addr/name-addr.ts";
import { assertNever } from "../../parsed.ts";
import type {
  Backend,
  Dispatcher,
  Distribution,
  LoadParams,
  RouteBackend,
} from "../../policy/client-policy.ts";
import { metaKind, metaName, metaNamespace, type Meta } from "../../policy/meta.ts";
import type { WeightedAddr } from "../../proto/gen/destination_pb.js";
import type * as proto from "../../proto/gen/outbound_pb.js";
import { millisFromProto } from "./duration.ts";
import { endpointFromProto } from "./endpoint.ts";
import { each, field, invalid, optional, required, valueOf } from "./field.ts";
import { metaFromProto } from "./meta.ts";

/** Defaults of PenaltyPeakEwma, in milliseconds. Source: linkerd2-proxy, linkerd/proxy/client-policy/src/lib.rs. */
const PENALTY_DEFAULTS = { defaultRttMs: 30, decayMs: 10_000, penaltyMs: 5_000, maxRetryAfterMs: 300_000 };

/** The four kinds of route spell their distributions alike, each with its own filter. */
interface ProtoRouteBackend<F> {
  readonly backend?: proto.Backend | undefined;
  readonly filters: readonly F[];
}
interface ProtoDistribution<F> {
  readonly kind:
    | { readonly case: "empty"; readonly value: object }
    | {
        readonly case: "firstAvailable";
        readonly value: { readonly backends: readonly ProtoRouteBackend<F>[] };
      }
    | {
        readonly case: "randomAvailable";
        readonly value: {
          readonly backends: readonly {
            readonly backend?: ProtoRouteBackend<F> | undefined;
            readonly weight: number;
          }[];
        };
      }
    | { readonly case: undefined; readonly value?: undefined };
}

export function distributionFromProto<F, G>(
  { kind }: ProtoDistribution<F>,
  filterFromProto: (filter: F) => G,
): Distribution<G> {
  switch (kind.case) {
    case "empty":
      return { kind: "empty" };
    case "firstAvailable":
      return field("first_available", () => ({
        kind: "first_available",
        backends: each("backends", nonEmpty(kind.value.backends), (b) => routeBackend(b, filterFromProto)),
      }));
    case "randomAvailable":
      return field("random_available", () => ({
        kind: "random_available",
        backends: each("backends", nonEmpty(kind.value.backends), ({ backend, weight }) => ({
          ...required("backend", backend, (b) => routeBackend(b, filterFromProto)),
          weight,
        })),
      }));
    case undefined:
      return invalid("has no kind");
    default:
      return assertNever(kind);
  }
}

function nonEmpty<T>(items: readonly T[]): readonly T[] {
  return items.length > 0 ? items : field("backends", () => invalid("is empty"));
}

function routeBackend<F, G>(
  { backend, filters }: ProtoRouteBackend<F>,
  filterFromProto: (filter: F) => G,
): RouteBackend<G> {
  return {
    backend: required("backend", backend, backendFromProto),
    filters: each("filters", filters, filterFromProto),
  };
}

function backendFromProto(backend: proto.Backend): Backend {
  const meta = required("metadata", backend.metadata, (m) => metaFromProto(m, "given"));
  // The proxy goes by its own queue, but a message without one was not made for this API.
  required("queue", backend.queue, (q) => required("failfast_timeout", q.failfastTimeout, millisFromProto));
  return { meta, dispatcher: dispatcherFromProto(backend.kind, meta) };
}

function dispatcherFromProto(kind: proto.Backend["kind"], meta: Meta): Dispatcher {
  switch (kind.case) {
    case "forward":
      return { kind: "forward", endpoint: field("forward", () => forwardFromProto(kind.value)) };
    case "balancer":
      return field("balancer", () => ({
        kind: "balance",
        path: required("discovery", kind.value.discovery, pathFromProto),
        load: field("load", () => loadFromProto(kind.value.load)),
      }));
    case undefined:
      return { kind: "fail", message: `backend for ${nameOf(meta)} has no dispatcher` };
    default:
      return assertNever(kind);
  }
}

function nameOf(meta: Meta): string {
  return meta.kind === "default"
    ? `default ${meta.name}`
    : `${metaKind(meta)} ${metaNamespace(meta)}/${metaName(meta)}`;
}

function forwardFromProto(addr: WeightedAddr) {
  return endpointFromProto(addr) ?? field("addr", () => invalid("has no address or port"));
}

function pathFromProto({ kind }: proto.Backend_EndpointDiscovery): NameAddr {
  switch (kind.case) {
    case "dst":
      return field("dst.path", () => {
        const addr = valueOf(parseAddr(kind.value.path));
        return addr.kind === "name"
          ? addr.name
          : invalid(`"${kind.value.path}" is an address where a name belongs`);
      });
    default:
      return invalid("has no kind");
  }
}

function loadFromProto(load: proto.Backend_BalanceP2c["load"]): LoadParams {
  switch (load.case) {
    case "peakEwma":
      return field("peak_ewma", () => ({
        kind: "peak_ewma",
        defaultRttMs: required("default_rtt", load.value.defaultRtt, millisFromProto),
        decayMs: required("decay", load.value.decay, millisFromProto),
      }));
    case "penaltyPeakEwma":
      return field("penalty_peak_ewma", () => {
        const { defaultRtt, decay, penalty, maxRetryAfter } = load.value;
        return {
          kind: "penalty_peak_ewma",
          defaultRttMs: optional("default_rtt", defaultRtt, millisFromProto) ?? PENALTY_DEFAULTS.defaultRttMs,
          decayMs: optional("decay", decay, millisFromProto) ?? PENALTY_DEFAULTS.decayMs,
          penaltyMs: optional("penalty", penalty, millisFromProto) ?? PENALTY_DEFAULTS.penaltyMs,
          maxRetryAfterMs:
            optional("max_retry_after", maxRetryAfter, millisFromProto) ?? PENALTY_DEFAULTS.maxRetryAfterMs,
        };
      });
    case undefined:
      return invalid("is missing");
    default:
      return assertNever(load);
  }
}
