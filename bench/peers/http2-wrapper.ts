import { nodePeer } from "./node-peer.ts";
import type { Peer } from "./peer.ts";

/** The server of `node:http2`, the client of http2-wrapper: shows what that package costs. */
export const http2Wrapper: Peer = nodePeer("http2-wrapper", "http2-wrapper.ts", "http2");
