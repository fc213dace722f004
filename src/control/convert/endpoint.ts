import { parseAddr } from "../../addr/name-addr.ts";
import { parseDnsName } from "../../addr/dns-name.ts";
import { parseId, type Id } from "../../identity/id.ts";
import { assertNever } from "../../parsed.ts";
import type { Endpoint, EndpointMetadata, Http2Overrides } from "../../policy/endpoint.ts";
import type {
  Http2ClientParams,
  ProtocolHint,
  TlsIdentity,
  WeightedAddr,
} from "../../proto/gen/destination_pb.js";
import { millisIfValid } from "./duration.ts";
import { socketAddrFromProto } from "./net.ts";

type Labels = Readonly<Record<string, string>>;
const NO_LABELS: Labels = {};
const NO_SORTED_LABELS: EndpointMetadata["labels"] = [];

/**
 * One endpoint, or undefined when its address cannot be dialled. Everything else that is wrong with it has a meaning:
 * a bad identity makes it refuse connections, a bad hint or override is as if absent.
 *
 * @param setLabels labels of the set it came in; its own win over them.
 *
 * Source: linkerd2-proxy, linkerd/proxy/api-resolve/src/pb.rs.
 */
export function endpointFromProto(addr: WeightedAddr, setLabels: Labels = NO_LABELS): Endpoint | undefined {
  const socket = socketAddrFromProto(addr.addr);
  if (socket === undefined) return undefined;
  return {
    addr: socket,
    metadata: {
      identity: addr.tlsIdentity === undefined ? { kind: "none" } : identityFromProto(addr.tlsIdentity),
      protocolHint: hintFromProto(addr.protocolHint),
      taggedTransportPort: taggedPortFromProto(addr.protocolHint),
      authorityOverride: authorityFromProto(addr.authorityOverride?.authorityOverride),
      http2: addr.http2 === undefined ? undefined : http2FromProto(addr.http2),
      labels: sortedLabels({ ...setLabels, ...addr.metricLabels }),
      zoneLocality: zoneFromLabels(addr.metricLabels),
    },
  };
}

function identityFromProto(tls: TlsIdentity): EndpointMetadata["identity"] {
  const id = serverIdFromProto(tls);
  if (typeof id === "string") return { kind: "invalid", problem: id };
  const nameText = tls.serverName?.name ?? (id.kind === "dns" ? id.text : undefined);
  if (nameText === undefined) return { kind: "invalid", problem: `"${id.text}" comes without a server name` };
  const serverName = parseDnsName(nameText);
  if (!serverName.ok) return { kind: "invalid", problem: `server name ${serverName.problem}` };
  return { kind: "mesh", serverId: id, serverName: serverName.value };
}

/** The identity, or the problem with it. */
function serverIdFromProto({ strategy }: TlsIdentity): Id | string {
  switch (strategy.case) {
    case "dnsLikeIdentity": {
      const id = parseId(strategy.value.name);
      return id.ok && id.value.kind === "dns" ? id.value : `"${strategy.value.name}" is not a DNS identity`;
    }
    case "uriLikeIdentity": {
      const id = parseId(strategy.value.uri);
      return id.ok && id.value.kind === "uri" ? id.value : `"${strategy.value.uri}" is not a URI identity`;
    }
    case undefined:
      return "the kind of identity is missing or unknown";
    default:
      return assertNever(strategy);
  }
}

function hintFromProto(hint: ProtocolHint | undefined): EndpointMetadata["protocolHint"] {
  return hint?.protocol.case ?? "unknown";
}

function taggedPortFromProto(hint: ProtocolHint | undefined): number | undefined {
  const port = hint?.opaqueTransport?.inboundPort ?? 0;
  return port > 0 && port < 65535 ? port : undefined;
}

function authorityFromProto(text: string | undefined): string | undefined {
  return text !== undefined && parseAddr(text, 80).ok ? text : undefined;
}

function zoneFromLabels(own: Labels): EndpointMetadata["zoneLocality"] {
  const zone = own["zone_locality"]?.toLowerCase();
  return zone === "local" || zone === "remote" ? zone : "unknown";
}

function sortedLabels(labels: Labels): EndpointMetadata["labels"] {
  const entries = Object.entries(labels);
  return entries.length === 0 ? NO_SORTED_LABELS : entries.sort(([a], [b]) => (a < b ? -1 : 1));
}

function http2FromProto(params: Http2ClientParams): Http2Overrides {
  const { flowControl, keepAlive, internals } = params;
  return {
    flowControl: flowControlFromProto(flowControl),
    keepAlive: keepAliveFromProto(keepAlive),
    maxConcurrentResetStreams: positive(internals?.maxConcurrentResetStreams),
    maxFrameSize: positive(internals?.maxFrameSize),
    maxSendBufferSize: positive(internals?.maxSendBufSize),
  };
}

function flowControlFromProto(flow: Http2ClientParams["flowControl"]): Http2Overrides["flowControl"] {
  if (flow === undefined) return undefined;
  if (flow.adaptiveFlowControl) return { kind: "adaptive" };
  const streamWindow = positive(flow.initialStreamWindowSize);
  const connectionWindow = positive(flow.initialConnectionWindowSize);
  if (streamWindow === undefined || connectionWindow === undefined) return undefined;
  return { kind: "fixed", streamWindow, connectionWindow };
}

function keepAliveFromProto(keepAlive: Http2ClientParams["keepAlive"]): Http2Overrides["keepAlive"] {
  const intervalMs = millisIfValid(keepAlive?.interval);
  const timeoutMs = millisIfValid(keepAlive?.timeout);
  if (intervalMs === undefined || timeoutMs === undefined) return undefined;
  return { intervalMs, timeoutMs, whileIdle: keepAlive?.whileIdle ?? false };
}

function positive(value: number | undefined): number | undefined {
  return value === undefined || value === 0 ? undefined : value;
}
