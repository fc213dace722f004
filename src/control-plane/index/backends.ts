import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SocketAddr } from "../../addr/socket-addr.ts";
import type { Backend_BalanceP2cSchema, BackendSchema, QueueSchema } from "../../proto/gen/outbound_pb.js";
import type { LoadPenalty } from "../resources/balancer-annotations.ts";
import type { Cluster } from "./cluster.ts";
import { defaultMeta, duration, egressMeta, serviceMeta, tcpAddress, type MetadataInit } from "./messages.ts";
import { serviceDomain } from "./settings.ts";

export type BackendInit = MessageInitShape<typeof BackendSchema>;

/** Source: linkerd2, policy-controller/grpc/src/outbound.rs. */
const QUEUE: MessageInitShape<typeof QueueSchema> = { capacity: 100, failfastTimeout: duration(3000) };
const PEAK_EWMA = { defaultRtt: duration(30), decay: duration(10_000) };
const PENALTY_DECAY_MS = 10_000;

/** A Service's endpoints, balanced. */
export function serviceBackend(
  cluster: Cluster,
  namespace: string,
  name: string,
  port: number,
  penalty: LoadPenalty | undefined,
): BackendInit {
  return {
    metadata: serviceMeta(namespace, name, port),
    kind: {
      case: "balancer",
      value: {
        discovery: {
          kind: {
            case: "dst",
            value: { path: `${serviceDomain(cluster.settings, namespace, name)}:${port}` },
          },
        },
        load: load(penalty),
      },
    },
    queue: QUEUE,
  };
}

/** Nothing that could be sent to: whatever comes here fails. */
export function failingBackend(metadata: MetadataInit): BackendInit {
  return { metadata, queue: QUEUE };
}

/** One address as it is, without a mesh. */
export function forwardBackend(meta: string, addr: SocketAddr): BackendInit {
  return forward(defaultMeta(meta), addr, 1);
}

/**
 * Where the client meant to connect, through an EgressNetwork.
 *
 * @param port that the backend is known by, whatever the address's is.
 */
export function egressBackend(
  namespace: string,
  name: string,
  port: number,
  addr: SocketAddr,
  weight: number,
): BackendInit {
  return forward(egressMeta(namespace, name, port), addr, weight);
}

function forward(metadata: MetadataInit, addr: SocketAddr, weight: number): BackendInit {
  return {
    metadata,
    kind: { case: "forward", value: { addr: tcpAddress(addr.ip, addr.port), weight } },
    queue: QUEUE,
  };
}

function load(
  penalty: LoadPenalty | undefined,
): NonNullable<MessageInitShape<typeof Backend_BalanceP2cSchema>["load"]> {
  if (penalty === undefined) return { case: "peakEwma", value: PEAK_EWMA };
  return {
    case: "penaltyPeakEwma",
    value: {
      ...PEAK_EWMA,
      penalty: duration(penalty.penaltyMs),
      maxRetryAfter: duration(penalty.maxRetryAfterMs),
      penaltyDecay: duration(PENALTY_DECAY_MS),
    },
  };
}
