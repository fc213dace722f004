import type { FuzzTarget } from "./target.ts";
import { clientHello, httpPreface, transportHeader } from "./targets/first-bytes.ts";
import { forwarded } from "./targets/forwarded.ts";
import { h1Node } from "./targets/h1-node.ts";
import { hpackFromNode, hpackToNode } from "./targets/hpack-node.ts";
import { hpack } from "./targets/hpack.ts";
import { h1Chunked, h1Drivers, h1Lenient, h1Request, h1Response } from "./targets/http1.ts";
import { h2Client, h2Server } from "./targets/http2.ts";
import { traceContext } from "./targets/trace-context.ts";

/** Everything that takes strangers' bytes. */
export const TARGETS: readonly FuzzTarget[] = [
  ...[h1Request, h1Lenient, h1Response, h1Chunked, h1Drivers, h1Node],
  ...[hpack, hpackToNode, hpackFromNode, h2Server, h2Client],
  ...[clientHello, httpPreface, transportHeader],
  ...[traceContext, forwarded],
];
