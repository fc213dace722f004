import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { H2Client } from "../../src/http/client/h2.ts";
import type { H2ClientOptions, H2ServerOptions } from "../../src/http/h2-options.ts";
import { H2Server } from "../../src/http/server/h2.ts";
import { systemClock } from "../../src/time/clock.ts";
import { FakeClock } from "../support/fake-clock.ts";
import {
  bodyOf,
  BodySource,
  field,
  RecordingSink,
  requestHead,
  responseHead,
  ScriptedService,
  sha256,
} from "../support/h2-exchange.ts";
import { MemoryPair, type MemoryPairOptions } from "../support/memory-transport.ts";

interface Linked {
  readonly pair: MemoryPair;
  readonly client: H2Client;
  readonly server: H2Server;
  readonly service: ScriptedService;
  readonly closes: string[];
}

function link(
  service: ScriptedService,
  options: { pair?: MemoryPairOptions; client?: H2ClientOptions; server?: H2ServerOptions } = {},
): Linked {
  const pair = new MemoryPair(options.pair);
  const closes: string[] = [];
  const server = new H2Server(pair.right, service, {
    onClose: () => closes.push("server"),
    ...options.server,
  });
  const client = new H2Client(pair.left, { onClose: () => closes.push("client"), ...options.client });
  return { pair, client, server, service, closes };
}

test("carries a request without body and a response with one", () => {
  const { pair, client, service } = link(
    new ScriptedService(({ response }) => {
      response.head(responseHead(200, field("x-a", "1")), false);
      response.data(Buffer.from("hello"), 0, 5, true);
    }),
  );
  const response = new RecordingSink();
  client.call(requestHead("GET", "/a?b=c", field("x-q", "v")), true, response);
  pair.settle();
  assert.deepEqual(response.events, ["head 200", "data", "last"]);
  assert.equal(response.text, "hello");
  assert.equal(response.response?.fields[0]?.value, "1");
  const { head, last } = service.at(0);
  assert.equal(last, true);
  assert.equal(head.method.value, "GET");
  assert.equal(head.path?.value, "/a?b=c");
  assert.equal(head.authority?.value, "h.test");
  assert.deepEqual(
    head.fields.map((f) => [f.name.text, f.value]),
    [["x-q", "v"]],
  );
  assert.equal(client.openStreams, 0);
});

test("carries trailers both ways", () => {
  const { pair, client, service } = link(
    new ScriptedService(({ response, request }) => {
      request.onEvent = (event) => {
        if (event !== "trailers") return;
        response.head(responseHead(200), false);
        response.data(Buffer.from("x"), 0, 1, false);
        response.trailers([field("grpc-status", "0")]);
      };
    }),
  );
  const response = new RecordingSink();
  const request = client.call(requestHead("POST", "/g"), false, response);
  request.data(Buffer.from("body"), 0, 4, false);
  request.trailers([field("x-sum", "7")]);
  pair.settle();
  assert.deepEqual(service.at(0).request.events, ["data", "trailers"]);
  assert.equal(service.at(0).request.trailerFields?.[0]?.value, "7");
  assert.deepEqual(response.events, ["head 200", "data", "trailers"]);
  assert.equal(response.trailerFields?.[0]?.name.text, "grpc-status");
  assert.equal(client.openStreams, 0);
});

test("gives the same events however the bytes are cut", () => {
  const run = (split: (waiting: number) => number): string[] => {
    const { pair, client, service } = link(
      new ScriptedService(({ response, request }) => {
        request.onEvent = (event) => {
          if (event !== "last" && event !== "trailers") return;
          response.head(responseHead(200, field("x-long", "v".repeat(20_000))), false);
          response.data(bodyOf(3000), 0, 3000, false);
          response.trailers([field("t", "1")]);
        };
      }),
      { pair: { split } },
    );
    const sinks: RecordingSink[] = [];
    for (let i = 0; i < 3; i++) {
      const sink = new RecordingSink();
      sinks.push(sink);
      const request = client.call(
        requestHead("POST", `/${i}`, field("x-big", "w".repeat(18_000))),
        false,
        sink,
      );
      sink.source = request;
      request.data(bodyOf(1000), 0, 1000, i !== 1);
      if (i === 1) request.trailers([field("t", "2")]);
    }
    pair.settle();
    assert.equal(client.openStreams, 0);
    return [...sinks, ...service.requests.map((s) => s.request)].map(
      (s) => `${s.events.join()} ${s.bytes} ${s.digest()} ${s.response?.fields[0]?.size}`,
    );
  };
  const whole = run((waiting) => waiting);
  assert.deepEqual(
    run(() => 1),
    whole,
  );
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1 }), (sizes) => {
      let i = 0;
      assert.deepEqual(
        run(() => sizes[i++ % sizes.length] ?? 1),
        whole,
      );
    }),
    { numRuns: 25 },
  );
});

for (const [name, streamWindowBytes, blockAt] of [
  ["default windows", 65_535, 65_536],
  ["a window of 1,000 bytes", 1000, 65_536],
  ["a window of 1 MiB and a slow socket", 1_048_576, 20_000],
] as const) {
  test(`moves 5 MiB both ways at once without a changed byte: ${name}`, () => {
    const up = bodyOf(5 * 1024 * 1024);
    const down = bodyOf(5 * 1024 * 1024 + 17);
    const { pair, client, service } = link(
      new ScriptedService(({ response, request }) => {
        const body = new BodySource(down, 65_535, 10_000);
        request.collect = false;
        request.onEvent = () => {
          body.credit(request.credited);
          request.credited = 0;
        };
        response.head(responseHead(200), false);
        body.start(response);
      }),
      {
        pair: { blockAt, split: (waiting) => Math.ceil(waiting / 3) },
        client: { streamWindowBytes },
        server: { streamWindowBytes },
      },
    );
    const sink = new RecordingSink();
    sink.collect = false;
    const body = new BodySource(up, 65_535, 7000);
    sink.onEvent = () => {
      body.credit(sink.credited);
      sink.credited = 0;
    };
    const request = client.call(requestHead("POST", "/up"), false, sink);
    sink.source = request;
    body.start(request);
    pair.settle();
    assert.equal(service.at(0).request.bytes, up.length);
    assert.equal(service.at(0).request.digest(), sha256(up));
    assert.equal(sink.digest(), sha256(down));
    assert.equal(client.openStreams, 0);
    // One chunk may pass the bound, and frames have headers.
    assert.ok(pair.left.mostWaiting < blockAt + 40_000, `${pair.left.mostWaiting} bytes waited`);
  });
}

test("stops the sender when the receiver gives no credit, and goes on when it does", () => {
  const down = bodyOf(300_000);
  const { pair, client } = link(
    new ScriptedService(({ response, request }) => {
      const body = new BodySource(down, 65_535, 10_000);
      request.onEvent = () => {
        body.credit(request.credited);
        request.credited = 0;
      };
      response.head(responseHead(200), false);
      body.start(response);
    }),
  );
  const sink = new RecordingSink();
  sink.collect = false;
  sink.holding = true;
  sink.source = client.call(requestHead("GET", "/"), true, sink);
  pair.settle();
  assert.equal(sink.bytes, 65_535);
  while (sink.held > 0) {
    sink.release();
    pair.settle();
  }
  assert.equal(sink.digest(), sha256(down));
});

test("shares the connection fairly between streams that wait", () => {
  const { pair, client } = link(
    new ScriptedService(({ response }) => {
      response.head(responseHead(200), false);
      response.data(bodyOf(60_000), 0, 60_000, true);
    }),
    // After the first body the output is blocked: all streams queue.
    { pair: { blockAt: 8000, split: () => 4096 } },
  );
  const sinks = [0, 1, 2, 3].map((i) => {
    const sink = new RecordingSink();
    sink.collect = false;
    sink.source = client.call(requestHead("GET", `/${i}`), true, sink);
    return sink;
  });
  let whenFirstEnded: number[] = [];
  for (const sink of sinks) {
    sink.onEvent = (event) => {
      if (event === "last" && whenFirstEnded.length === 0) whenFirstEnded = sinks.map((s) => s.bytes);
    };
  }
  pair.settle();
  assert.equal(Math.max(...whenFirstEnded), 60_000);
  assert.ok(
    Math.min(...whenFirstEnded) > 60_000 - 2 * 16_384,
    `${whenFirstEnded.join()} bytes when the first ended`,
  );
});

test("keeps calls beyond the server's limit inside, in order, bodies and all", () => {
  const { pair, client, service } = link(new ScriptedService(), { server: { maxConcurrentStreams: 2 } });
  pair.settle();
  assert.equal(client.ready, true);
  assert.equal(client.maxStreams, 2);
  const sinks = [0, 1, 2, 3, 4].map((i) => {
    const sink = new RecordingSink();
    const request = client.call(requestHead("POST", `/${i}`), false, sink);
    request.data(Buffer.from(`body ${i}`), 0, 6, i !== 3);
    if (i === 3) request.trailers([field("t", "3")]);
    return { sink, request };
  });
  pair.settle();
  assert.equal(service.requests.length, 2);
  assert.equal(client.pendingCalls, 3);
  sinks[2]?.request.reset(new ProxyError("canceled", "not wanted any more"));
  assert.equal(client.pendingCalls, 2);
  for (let i = 0; i < 2; i++) service.at(i).response.head(responseHead(204), true);
  pair.settle();
  assert.deepEqual(
    service.requests.map((s) => s.head.path?.value),
    ["/0", "/1", "/3", "/4"],
  );
  assert.deepEqual(
    service.requests.map((s) => s.request.text),
    ["body 0", "body 1", "body 3", "body 4"],
  );
  assert.deepEqual(service.at(2).request.events, ["data", "trailers"]);
  assert.deepEqual(sinks[2]?.sink.events, []);
});

test("passes a cancellation on as CANCEL, and other resets with their code", () => {
  const { pair, client, service } = link(new ScriptedService());
  const first = client.call(requestHead("POST", "/"), false, new RecordingSink());
  const second = new RecordingSink();
  client.call(requestHead("POST", "/"), false, second);
  const third = new RecordingSink();
  client.call(requestHead("POST", "/"), false, third);
  pair.settle();
  first.reset(new ProxyError("canceled", "gone"));
  service.at(1).response.reset(new ProxyError("h2_reset", "upstream reset", { h2Code: 7 }));
  service.at(2).response.reset(new ProxyError("upstream_closed", "gone"));
  pair.settle();
  assert.equal(service.at(0).request.error?.code, "canceled");
  assert.equal(service.at(0).request.error?.detail.h2Code, 8);
  assert.equal(service.at(0).request.error?.detail.side, "downstream");
  assert.equal(second.error?.code, "h2_reset");
  assert.equal(second.error?.detail.h2Code, 7);
  assert.equal(second.error?.detail.side, "upstream");
  assert.equal(third.error?.detail.h2Code, 2);
  assert.equal(client.openStreams, 0);
});

test("delivers a finished response before the reset that stops the upload", () => {
  const { pair, client, service } = link(
    new ScriptedService(({ response }) => {
      response.head(responseHead(200), false);
      response.data(bodyOf(100_000), 0, 100_000, true);
    }),
  );
  const sink = new RecordingSink();
  sink.collect = false;
  sink.source = client.call(requestHead("POST", "/"), false, sink);
  pair.right.stalled = false;
  pair.left.stalled = true;
  pair.settle();
  service.at(0).response.reset(new ProxyError("h2_reset", "done", { h2Code: 0 }));
  pair.left.stalled = false;
  pair.settle();
  assert.equal(sink.bytes, 100_000);
  assert.deepEqual(sink.events, ["head 200", "data", "last", "reset h2_reset"]);
  assert.equal(sink.error?.detail.h2Code, 0);
});

test("ends every exchange once when the connection goes", () => {
  const { pair, client, service, closes } = link(new ScriptedService());
  const sinks = [1, 2, 3].map(() => {
    const sink = new RecordingSink();
    client.call(requestHead("POST", "/"), false, sink);
    return sink;
  });
  pair.settle();
  pair.right.destroy(new ProxyError("io", "cut"));
  pair.settle();
  for (const sink of sinks) assert.deepEqual(sink.events, ["reset upstream_closed"]);
  for (const { request } of service.requests) assert.deepEqual(request.events, ["reset io"]);
  assert.deepEqual(new Set(closes), new Set(["client", "server"]));
  const late = new RecordingSink();
  client.call(requestHead("GET", "/"), true, late);
  assert.deepEqual(late.events, ["reset upstream_closed"]);
});

test("drains: what is under way finishes, and then the connection closes", () => {
  const { pair, client, server, service, closes } = link(new ScriptedService());
  const sink = new RecordingSink();
  client.call(requestHead("GET", "/1"), true, sink);
  pair.settle();
  server.drain();
  // Sent before the client has seen the GOAWAY: still answered.
  const crossing = new RecordingSink();
  client.call(requestHead("GET", "/2"), true, crossing);
  pair.settle();
  assert.equal(client.retired, true);
  const late = new RecordingSink();
  client.call(requestHead("GET", "/3"), true, late);
  assert.deepEqual(late.events, ["reset h2_goaway"]);
  assert.equal(service.requests.length, 2);
  assert.deepEqual(closes, []);
  for (const { response } of service.requests) response.head(responseHead(200), true);
  pair.settle();
  assert.deepEqual(sink.events, ["head 200", "last"]);
  assert.deepEqual(crossing.events, ["head 200", "last"]);
  assert.deepEqual(new Set(closes), new Set(["client", "server"]));
});

test("closes the client's end after its last call", () => {
  const { pair, client, service, closes } = link(new ScriptedService());
  const sink = new RecordingSink();
  client.call(requestHead("GET", "/1"), true, sink);
  pair.settle();
  client.close();
  pair.settle();
  assert.deepEqual(closes, []);
  service.at(0).response.head(responseHead(200), true);
  pair.settle();
  assert.deepEqual(sink.events, ["head 200", "last"]);
  assert.deepEqual(new Set(closes), new Set(["client", "server"]));
});

test("retires before its stream ids run out", () => {
  let retired = 0;
  const { pair, client } = link(
    new ScriptedService(({ response }) => response.head(responseHead(200), true)),
    {
      client: { firstStreamId: 0x7fff_fffd, onRetire: () => retired++ },
    },
  );
  const sinks = [0, 1, 2].map((i) => {
    const sink = new RecordingSink();
    client.call(requestHead("GET", `/${i}`), true, sink);
    return sink;
  });
  pair.settle();
  assert.deepEqual(
    sinks.map((s) => s.events[0]),
    ["head 200", "head 200", "reset h2_goaway"],
  );
  assert.equal(retired, 1);
});

test("closes a connection whose peer does not answer PING", () => {
  const clock = new FakeClock();
  const keepAlive = { intervalMs: 10_000, timeoutMs: 3_000, whileIdle: true };
  const { pair, client, closes } = link(new ScriptedService(), { client: { clock, keepAlive } });
  pair.settle();
  const sink = new RecordingSink();
  client.call(requestHead("GET", "/"), true, sink);
  pair.settle();
  for (let i = 0; i < 5; i++) {
    clock.advance(10_000);
    pair.settle();
  }
  assert.deepEqual(sink.events, []);
  pair.right.stalled = true;
  clock.advance(12_999);
  assert.deepEqual(sink.events, []);
  clock.advance(1);
  assert.deepEqual(sink.events, ["reset io"]);
  pair.right.stalled = false;
  pair.settle();
  assert.ok(closes.includes("client"));
  assert.equal(clock.timers, 0);
});

test("passes CONNECT on as a tunnel", () => {
  const { pair, client, service } = link(new ScriptedService());
  const sink = new RecordingSink();
  const head = requestHead("CONNECT", "/");
  head.path = undefined;
  head.scheme = undefined;
  const request = client.call(head, false, sink);
  sink.source = request;
  pair.settle();
  const served = service.at(0);
  assert.equal(served.head.upgrade, true);
  assert.equal(served.head.path, undefined);
  assert.equal(served.head.scheme, undefined);
  served.response.head(responseHead(200), false);
  served.response.data(Buffer.from("down"), 0, 4, false);
  request.data(Buffer.from("up"), 0, 2, true);
  pair.settle();
  assert.equal(served.request.text, "up");
  assert.equal(sink.text, "down");
  served.response.data(Buffer.from("!"), 0, 1, true);
  pair.settle();
  assert.equal(sink.text, "down!");
  assert.equal(client.openStreams, 0);
});

test("uses the clock of the system by default", () => {
  const { server } = link(new ScriptedService());
  assert.ok(Math.abs(server.lastReadMs - systemClock.nowMs()) < 5000);
});
