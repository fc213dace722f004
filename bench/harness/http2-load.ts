import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import type { ProxyError } from "../../src/errors/proxy-error.ts";
import { H2Client } from "../../src/http/client/h2.ts";
import {
  AUTHORITY,
  METHOD,
  PATH,
  RequestHead,
  SCHEME_HTTP,
  type ResponseHead,
  type ResponseSink,
  type Sink,
} from "../../src/http/message.ts";
import { systemClock } from "../../src/time/clock.ts";
import { connectTcp } from "../../src/transport/connect.ts";
import { headerField, headerName, internField } from "../../src/wire/header-field.ts";
import { latencyHistogram, type LoadResult, type LoadTarget } from "./load-result.ts";

/**
 * HTTP/2 by a generator of our own, since autocannon speaks HTTP/1 only: a closed loop of `streams` requests on each of
 * `connections` connections, cheap enough that the proxies are the bottleneck.
 */
export async function loadHttp2(target: LoadTarget, seconds: number): Promise<LoadResult> {
  const addr = parseSocketAddr(`127.0.0.1:${target.port}`);
  if (!addr.ok) throw new Error(addr.problem);
  const run = new Run(target);
  const clients: H2Client[] = [];
  for (let i = 0; i < target.connections; i++) {
    const transport = await connectTcp(addr.value, {
      clock: systemClock,
      timeoutMs: 5_000,
      keepAliveMs: undefined,
      userTimeoutMs: undefined,
    });
    clients.push(new H2Client(transport, { streamWindowBytes: 1 << 20, connectionWindowBytes: 1 << 24 }));
  }
  const startedAtMs = performance.now();
  run.endsAtMs = startedAtMs + seconds * 1000;
  for (const client of clients) for (let i = 0; i < target.streams; i++) run.next(client);
  await run.done;
  const elapsed = (performance.now() - startedAtMs) / 1000;
  for (const client of clients) client.close();
  return {
    requests: run.requests,
    errors: run.errors,
    seconds: elapsed,
    p50Ms: run.latency.percentile(50) / 1000,
    p99Ms: run.latency.percentile(99) / 1000,
  };
}

class Run {
  readonly latency = latencyHistogram();
  requests = 0;
  errors = 0;
  endsAtMs = 0;
  readonly done: Promise<void>;
  readonly #target: LoadTarget;
  readonly #finish: () => void;
  #running = 0;

  constructor(target: LoadTarget) {
    this.#target = target;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#finish = resolve;
  }

  next(client: H2Client): void {
    const now = performance.now();
    if (now >= this.endsAtMs) return;
    this.#running++;
    const { path, port } = this.#target;
    const head = new RequestHead(
      20,
      GET,
      SCHEME_HTTP,
      internField(AUTHORITY, `127.0.0.1:${port}`),
      internField(PATH, path),
      // One field that differs in each request, as real clients send.
      [USER_AGENT, headerField(REQUEST_ID, String(this.requests))],
      now,
    );
    const exchange = new Exchange(this, client, now);
    exchange.request = client.call(head, true, exchange);
  }

  end(client: H2Client, startedAtMs: number, ok: boolean): void {
    this.#running--;
    this.requests++;
    if (!ok) this.errors++;
    this.latency.record(Math.max(1, Math.round((performance.now() - startedAtMs) * 1000)));
    this.next(client);
    if (this.#running === 0) this.#finish();
  }
}

class Exchange implements ResponseSink {
  request: Sink | undefined = undefined;
  readonly #run: Run;
  readonly #client: H2Client;
  readonly #startedAtMs: number;
  #status = 0;

  constructor(run: Run, client: H2Client, startedAtMs: number) {
    this.#run = run;
    this.#client = client;
    this.#startedAtMs = startedAtMs;
  }

  head(head: ResponseHead, last: boolean): void {
    this.#status = head.status;
    if (last) this.#end(true);
  }
  data(_buffer: Buffer, start: number, end: number, last: boolean): void {
    if (end > start) this.request?.credit(end - start);
    if (last) this.#end(true);
  }
  trailers(): void {
    this.#end(true);
  }
  reset(_error: ProxyError): void {
    this.#end(false);
  }
  credit(): void {}

  #end(complete: boolean): void {
    this.#run.end(this.#client, this.#startedAtMs, complete && this.#status === 200);
  }
}

const GET = internField(METHOD, "GET");
const USER_AGENT = internField(headerName("user-agent"), "outrigger-bench");
const REQUEST_ID = headerName("x-request-id");
