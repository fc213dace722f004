import type { EndpointMetadata, Http2Overrides } from "./endpoint.ts";

/** Whether two endpoints of one address are to be reached in the same way, so that connections and load may be kept. */
export function sameMetadata(a: EndpointMetadata, b: EndpointMetadata): boolean {
  if (a === b) return true;
  return (
    sameIdentity(a.identity, b.identity) &&
    a.protocolHint === b.protocolHint &&
    a.taggedTransportPort === b.taggedTransportPort &&
    a.authorityOverride === b.authorityOverride &&
    a.zoneLocality === b.zoneLocality &&
    sameHttp2(a.http2, b.http2) &&
    sameLabels(a.labels, b.labels)
  );
}

function sameIdentity(a: EndpointMetadata["identity"], b: EndpointMetadata["identity"]): boolean {
  if (a.kind === "mesh") {
    return (
      b.kind === "mesh" &&
      a.serverId.kind === b.serverId.kind &&
      a.serverId.text === b.serverId.text &&
      a.serverName === b.serverName
    );
  }
  if (a.kind === "invalid") return b.kind === "invalid" && a.problem === b.problem;
  return b.kind === "none";
}

function sameHttp2(a: Http2Overrides | undefined, b: Http2Overrides | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    sameFlowControl(a.flowControl, b.flowControl) &&
    a.keepAlive?.intervalMs === b.keepAlive?.intervalMs &&
    a.keepAlive?.timeoutMs === b.keepAlive?.timeoutMs &&
    a.keepAlive?.whileIdle === b.keepAlive?.whileIdle &&
    a.maxConcurrentResetStreams === b.maxConcurrentResetStreams &&
    a.maxFrameSize === b.maxFrameSize &&
    a.maxSendBufferSize === b.maxSendBufferSize
  );
}

function sameFlowControl(a: Http2Overrides["flowControl"], b: Http2Overrides["flowControl"]): boolean {
  if (a?.kind !== "fixed" || b?.kind !== "fixed") return a?.kind === b?.kind;
  return a.streamWindow === b.streamWindow && a.connectionWindow === b.connectionWindow;
}

function sameLabels(a: EndpointMetadata["labels"], b: EndpointMetadata["labels"]): boolean {
  return a.length === b.length && a.every(([name, value], i) => name === b[i]?.[0] && value === b[i][1]);
}
