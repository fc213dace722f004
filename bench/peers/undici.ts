import { nodePeer } from "./node-peer.ts";
import type { Peer } from "./peer.ts";

/** A proxy as one would write it for HTTP/1: the server of `node:http`, the client of undici. */
export const undici: Peer = nodePeer("undici", "undici.ts", "http1");
