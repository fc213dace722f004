import { envoy } from "./envoy.ts";
import { haproxy } from "./haproxy.ts";
import { http2Wrapper } from "./http2-wrapper.ts";
import { linkerd2Proxy } from "./linkerd2-proxy.ts";
import { nghttpx } from "./nghttpx.ts";
import { nginx } from "./nginx.ts";
import { nodeHttp2 } from "./node-http2.ts";
import type { Peer } from "./peer.ts";
import { undici } from "./undici.ts";

/** The proxies of others, in the order of the reports: the fastest first, then those of other meshes, then those on Node. */
export const PEERS: readonly Peer[] = [
  haproxy,
  nginx,
  nghttpx,
  envoy,
  linkerd2Proxy,
  nodeHttp2,
  undici,
  http2Wrapper,
];
