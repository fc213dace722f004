import type { Addr } from "../addr/name-addr.ts";
import type { Http2ServerConfig, TransportConfig } from "../config/config.ts";
import type { H2Options, H2ServerOptions } from "../http/h2-options.ts";
import type { Target } from "../outbound/target.ts";

/** Configuration in the words of the folders that use it. */

export function accepting({ listenBacklog, acceptKeepAliveMs, acceptUserTimeoutMs }: TransportConfig) {
  return { backlog: listenBacklog, keepAliveMs: acceptKeepAliveMs, userTimeoutMs: acceptUserTimeoutMs };
}

export function http2Client({ http2Client: { streamWindow, connectionWindow } }: TransportConfig): H2Options {
  return { streamWindowBytes: streamWindow, connectionWindowBytes: connectionWindow };
}

export function http2Server(config: Http2ServerConfig): H2ServerOptions {
  const { keepAlive, maxConcurrentStreams, maxFrameSize, maxHeaderListSize, flowControl } = config;
  const { maxPendingAcceptResetStreams, maxSendBufferSize } = config;
  return {
    ...(keepAlive === undefined ? {} : { keepAlive: { ...keepAlive, whileIdle: true } }),
    ...(maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams }),
    ...(maxFrameSize === undefined ? {} : { frameBytes: maxFrameSize }),
    ...(maxHeaderListSize === undefined ? {} : { headerListBytes: maxHeaderListSize }),
    ...(maxPendingAcceptResetStreams === undefined
      ? {}
      : { pendingResetStreams: maxPendingAcceptResetStreams }),
    ...(maxSendBufferSize === undefined ? {} : { sendBufferBytes: maxSendBufferSize }),
    ...(flowControl.kind === "fixed"
      ? { streamWindowBytes: flowControl.streamWindow, connectionWindowBytes: flowControl.connectionWindow }
      : { adaptiveWindows: true }),
  };
}

export function targetOf(addr: Addr): Target {
  return addr.kind === "socket" ? { kind: "addr", addr: addr.socket } : { kind: "name", name: addr.name };
}
