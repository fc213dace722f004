/** A program for h2specd: one request by the proxies' own HTTP/2 client to the URL given, until the server is done. */
import { H2Client } from "../../src/http/client/h2.ts";
import { systemClock } from "../../src/time/clock.ts";
import { connectTcp } from "../../src/transport/connect.ts";
import { RecordingSink, requestHead } from "../support/h2-exchange.ts";
import { socketAddr } from "./inbound-listener.ts";

const CONNECT_TIMEOUT_MS = 2_000;

const url = new URL(process.argv[2] ?? "");
const transport = await connectTcp(socketAddr(url.host), {
  clock: systemClock,
  timeoutMs: CONNECT_TIMEOUT_MS,
  keepAliveMs: undefined,
  userTimeoutMs: undefined,
});
const client = new H2Client(transport);
const sink = new RecordingSink();
sink.source = client.call(requestHead("GET", url.pathname), true, sink);
