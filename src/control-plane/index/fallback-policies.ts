import { create } from "@bufbuild/protobuf";
import type { SocketAddr } from "../../addr/socket-addr.ts";
import { OutboundPolicySchema, type OutboundPolicy } from "../../proto/gen/outbound_pb.js";
import { forwardBackend } from "./backends.ts";
import { defaultMeta, serviceMeta } from "./messages.ts";
import { DETECT_TIMEOUT } from "./policy-protocol.ts";
import { onlyBackend } from "./route-backends.ts";

/** Policies of targets that no manifest speaks for. Source: linkerd2, policy-controller/grpc/src/outbound.rs. */

/** A port that the service does not define: nothing goes there. */
export function undefinedPortPolicy(namespace: string, name: string, port: number): OutboundPolicy {
  return create(OutboundPolicySchema, {
    metadata: serviceMeta(namespace, name, port),
    protocol: {
      kind: {
        case: "opaque",
        value: {
          routes: [
            {
              metadata: defaultMeta("undefined-port"),
              rules: [
                {
                  backends: { kind: { case: "empty", value: {} } },
                  filters: [{ kind: { case: "forbidden", value: {} } }],
                },
              ],
            },
          ],
        },
      },
    },
  });
}

/** An address outside the cluster: forwarded as it is. */
export function egressFallbackPolicy(addr: SocketAddr): OutboundPolicy {
  const name = "egress-fallback";
  const backend = forwardBackend(name, addr);
  const http = {
    routes: [
      {
        metadata: defaultMeta(name),
        rules: [
          {
            matches: [{}],
            backends: onlyBackend(backend),
          },
        ],
      },
    ],
  };
  return create(OutboundPolicySchema, {
    metadata: defaultMeta(name),
    protocol: {
      kind: {
        case: "detect",
        value: {
          timeout: DETECT_TIMEOUT,
          opaque: { routes: [{ metadata: defaultMeta(name), rules: [{ backends: onlyBackend(backend) }] }] },
          http1: http,
          http2: http,
        },
      },
    },
  });
}
