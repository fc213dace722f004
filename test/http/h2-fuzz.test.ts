import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { H2Client } from "../../src/http/client/h2.ts";
import { H2Server } from "../../src/http/server/h2.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { bodyOf, RecordingSink, requestHead, responseHead, ScriptedService } from "../support/h2-exchange.ts";
import { block, frameBytes, RawPeer, REST_OF_REQUEST } from "../support/h2-raw-peer.ts";
import { MemoryPair } from "../support/memory-transport.ts";

/** A direction ends at most once, and nothing follows its end but a reset of the whole. */
function checkEvents(sink: RecordingSink): void {
  const { events } = sink;
  const end = events.findIndex((event) => event === "last" || event === "trailers");
  const reset = events.findIndex((event) => event.startsWith("reset"));
  if (reset >= 0) assert.equal(reset, events.length - 1, events.join());
  if (end >= 0) assert.ok(end === events.length - 1 || end === reset - 1, events.join());
}

const requestBlock = block([[":method", "POST"], ...REST_OF_REQUEST, ["x", "1"]]);
const indexedBlock = block(
  [[":method", "GET"], ...REST_OF_REQUEST, ["x-indexed", "v"], ["content-length", "4"]],
  0x40,
);
const responseBlock = block([
  [":status", "200"],
  ["x", "y"],
]);
const trailerBlock = block([["t", "1"]]);

const payload = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(requestBlock, indexedBlock, responseBlock, trailerBlock) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(Buffer.alloc(0), Buffer.from("data"), Buffer.alloc(8), Buffer.of(0, 0, 0, 8)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) },
);
const frame = fc
  .tuple(
    fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(0, 0, 1, 1, 1, 3, 8) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 10 }) },
    ),
    fc.constantFrom(0, 1, 4, 4, 5, 5, 8, 0xc),
    fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(1, 3, 5, 7, 9, 11) },
      { weight: 1, arbitrary: fc.constantFrom(0, 2, 0x7fff_ffff) },
    ),
    payload,
  )
  .map(([type, flags, id, bytes]) => frameBytes(type, flags, id, bytes));
const script = fc.array(frame, { maxLength: 40 });
const cuts = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 });

/** What happened, for comparison between two ways of cutting the same bytes. */
function serve(frames: readonly Buffer[], sizes: readonly number[]): string[] {
  let i = 0;
  const pair = new MemoryPair({ split: () => sizes[i++ % sizes.length] ?? 1 });
  const clock = new FakeClock();
  const service = new ScriptedService(({ last, request, response }) => {
    const answer = (): void => {
      response.head(responseHead(200), false);
      response.data(bodyOf(100), 0, 100, true);
    };
    if (last) answer();
    else
      request.onEvent = (event) => {
        if (event === "last" || event === "trailers") answer();
      };
  });
  const server = new H2Server(pair.right, service, { clock });
  const peer = new RawPeer(pair, pair.left, "client");
  peer.shakeHands();
  for (const bytes of frames) peer.raw(bytes);
  peer.settle();
  assert.ok(server.openStreams <= service.requests.length);
  pair.left.destroy();
  clock.advance(20_000);
  pair.settle();
  assert.equal(server.openStreams, 0);
  assert.equal(clock.timers, 0);
  for (const { last, request } of service.requests) {
    checkEvents(request);
    assert.ok(last || request.ended || request.error !== undefined, "an exchange without an end");
  }
  return [
    ...peer.heard,
    ...service.requests.map(({ request }) => `${request.events.join()} ${request.text}`),
  ];
}

test("a server survives any frames, ends each exchange once, and does not mind how the bytes are cut", () => {
  fc.assert(
    fc.property(script, cuts, (frames, sizes) => {
      // Cut into reads as large as the whole: what the peer hears and the service sees is the same.
      assert.deepEqual(serve(frames, sizes), serve(frames, [1 << 20]));
    }),
    { numRuns: 300 },
  );
});

test("a client survives any frames, and ends each exchange once", () => {
  fc.assert(
    fc.property(script, cuts, fc.integer({ min: 0, max: 4 }), (frames, sizes, canceled) => {
      let i = 0;
      const pair = new MemoryPair({ split: () => sizes[i++ % sizes.length] ?? 1 });
      const clock = new FakeClock();
      const peer = new RawPeer(pair, pair.right, "server");
      const client = new H2Client(pair.left, { clock });
      const calls = [0, 1, 2, 3, 4].map((n) => {
        const sink = new RecordingSink();
        const request = client.call(requestHead("POST", `/${n}`), n % 2 === 0, sink);
        sink.source = request;
        return { sink, request };
      });
      peer.shakeHands();
      frames.forEach((bytes, n) => {
        peer.raw(bytes);
        if (n === 3) calls[canceled]?.request.reset(new ProxyError("canceled", "gone"));
      });
      calls[1]?.request.data(bodyOf(100_000), 0, 60_000, true);
      peer.settle();
      pair.right.destroy();
      clock.advance(20_000);
      pair.settle();
      assert.equal(client.openStreams, 0);
      assert.equal(client.retired, true);
      assert.equal(clock.timers, 0);
      calls.forEach(({ sink }, n) => {
        checkEvents(sink);
        const gaveUp = n === canceled && frames.length > 3;
        assert.ok(gaveUp || sink.ended || sink.error !== undefined, "an exchange without an end");
      });
    }),
    { numRuns: 300 },
  );
});

test("a server survives any bytes after the preface", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), cuts, (bytes, sizes) => {
      serve([Buffer.from(bytes)], sizes);
    }),
    { numRuns: 300 },
  );
});
