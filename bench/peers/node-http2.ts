import { nodePeer } from "./node-peer.ts";
import type { Peer } from "./peer.ts";

/** A proxy as one would write it on `node:http2`: the yardstick for what a sidecar costs on Node. */
export const nodeHttp2: Peer = nodePeer("node:http2", "node-http2.ts", "http2");
