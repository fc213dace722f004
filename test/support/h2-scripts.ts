/** Scripts of a peer that speaks HTTP/2 mostly right, and drivers that let a server or client of ours hear them. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { H2Client } from "../../src/http/client/h2.ts";
import { H2Server } from "../../src/http/server/h2.ts";
import { FakeClock } from "./fake-clock.ts";
import { bodyOf, RecordingSink, requestHead, responseHead, ScriptedService } from "./h2-exchange.ts";
import { block, frameBytes, RawPeer, REST_OF_REQUEST, uint32 } from "./h2-raw-peer.ts";
import { MemoryPair } from "./memory-transport.ts";

/** A direction ends at most once, and nothing follows its end but a reset of the whole. */
function checkEvents(sink: RecordingSink): void {
  const { events } = sink;
  const end = events.findIndex((event) => event === "last" || event === "trailers");
  const reset = events.findIndex((event) => event.startsWith("reset"));
  if (reset >= 0) assert.equal(reset, events.length - 1, events.join());
  if (end >= 0) assert.ok(end === events.length - 1 || end === reset - 1, events.join());
}

/** One step of a peer that mostly keeps the rules. `stream` chooses among the streams that exist. */
type Step =
  | { readonly kind: "open"; readonly end: boolean; readonly list: number }
  | {
      readonly kind: "data";
      readonly stream: number;
      readonly bytes: number;
      readonly end: boolean;
      readonly pad: number;
    }
  | { readonly kind: "head" | "trailers" | "rst" | "priority"; readonly stream: number }
  | { readonly kind: "window"; readonly stream: number; readonly increment: number }
  | { readonly kind: "settings"; readonly window: number; readonly table: number }
  | { readonly kind: "ping" }
  | {
      readonly kind: "raw";
      readonly type: number;
      readonly flags: number;
      readonly id: number;
      readonly payload: Uint8Array;
    };

const stream = fc.nat({ max: 6 });
const bytes = fc.constantFrom(0, 1, 4, 50, 3000, 16_000);
const arbitraryStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("open" as const), end: fc.boolean(), list: fc.nat({ max: 5 }) }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("data" as const),
      stream,
      bytes,
      end: fc.boolean(),
      pad: fc.constantFrom(0, 0, 0, 1, 200),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom("head" as const, "trailers" as const, "rst" as const, "priority" as const),
      stream,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("window" as const),
      stream,
      increment: fc.constantFrom(1, 50, 100_000, 100_000, 0),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("settings" as const),
      window: fc.constantFrom(0, 10, 65_535, 1_000_000),
      table: fc.constantFrom(0, 100, 4096, 1 << 30),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "ping" as const }) },
);
const rawStep: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant("raw" as const),
  type: fc.nat({ max: 11 }),
  flags: fc.nat({ max: 255 }),
  id: fc.constantFrom(0, 1, 2, 3, 5, 7, 99, 0x7fff_ffff),
  payload: fc.uint8Array({ maxLength: 40 }),
});
/** Many right steps, and now and then bytes at random at the end of them. */
export const arbitraryScript = fc
  .tuple(fc.array(arbitraryStep, { maxLength: 60, size: "max" }), fc.array(rawStep, { maxLength: 2 }))
  .map(([steps, raw]) => [...steps, ...raw]);
/** Sizes of reads, used again and again. */
export const arbitrarySizes = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 8 });

const LISTS = [
  block([[":method", "POST"], ...REST_OF_REQUEST, ["x", "1"]]),
  block([[":method", "POST"], ...REST_OF_REQUEST, ["x-indexed", "v"]], 0x40),
  Buffer.concat([block([[":method", "POST"], ...REST_OF_REQUEST]), Buffer.of(0x40, 1, 0x61, 1, 0x62, 0xbe)]),
  block([[":method", "POST"], ...REST_OF_REQUEST, ["content-length", "4"]]),
  block([[":method", "POST"], ...REST_OF_REQUEST, ["Upper", "1"]]),
  block([
    [":method", "CONNECT"],
    [":authority", "h.test:443"],
  ]),
];
const RESPONSE = block([
  [":status", "200"],
  ["x", "y"],
]);

/** The frames of a script. A server opens nothing: its "open" is a response head. */
export function framesOf(steps: readonly Step[], isClient: boolean): Buffer[] {
  // What the peer knows of its streams keeps most steps right: ids that ended are not used again.
  const open: number[] = isClient ? [] : [1, 3, 5, 7, 9];
  const answered = new Set<number>();
  let nextId = 1;
  const drop = (id: number): void => void open.splice(open.indexOf(id), 1);
  return steps.map((step) => {
    if (step.kind === "ping") return frameBytes(6, 0, 0, Buffer.from("12345678"));
    if (step.kind === "raw") return frameBytes(step.type, step.flags, step.id, Buffer.from(step.payload));
    if (step.kind === "settings") {
      const payload = Buffer.alloc(12);
      payload.writeUInt16BE(1, 0);
      payload.writeUInt32BE(step.table, 2);
      payload.writeUInt16BE(4, 6);
      payload.writeUInt32BE(step.window, 8);
      return frameBytes(4, 0, 0, payload);
    }
    if (step.kind === "open" && isClient) {
      const id = nextId;
      nextId += 2;
      if (!step.end) open.push(id);
      return frameBytes(1, step.end ? 5 : 4, id, LISTS[step.list] ?? RESPONSE);
    }
    const id = open[("stream" in step ? step.stream : step.list) % Math.max(1, open.length)];
    if (id === undefined) return frameBytes(6, 0, 0, Buffer.from("no strea"));
    const early = !isClient && !answered.has(id);
    switch (step.kind) {
      case "window":
        return frameBytes(
          8,
          0,
          step.stream === 6 ? 0 : id,
          uint32(step.stream === 6 ? 1000 : step.increment),
        );
      case "priority":
        return frameBytes(2, 0, id, Buffer.concat([uint32(0), Buffer.of(1)]));
      case "rst":
        drop(id);
        return frameBytes(3, 0, id, uint32(8));
      case "data": {
        if (early) break;
        if (step.end) drop(id);
        const content = bodyOf(step.bytes);
        if (step.pad === 0) return frameBytes(0, step.end ? 1 : 0, id, content);
        return frameBytes(
          0,
          step.end ? 9 : 8,
          id,
          Buffer.concat([Buffer.of(step.pad), content, Buffer.alloc(step.pad)]),
        );
      }
      case "trailers":
        if (early) break;
        drop(id);
        return frameBytes(1, 5, id, block([["t", "1"]]));
      default:
        if (isClient) return frameBytes(6, 0, 0, Buffer.from("nothing!"));
    }
    answered.add(id);
    return frameBytes(1, 4, id, RESPONSE);
  });
}

/**
 * Sends frames, after a proper start, to an `H2Server` that reads them in pieces of the sizes given.
 *
 * @returns what happened, for comparison between two ways of cutting the same bytes.
 * @throws AssertionError if an exchange has no end or two, or anything is left behind.
 */
export function serve(frames: readonly Buffer[], sizes: readonly number[]): string[] {
  let i = 0;
  const pair = new MemoryPair({ split: () => sizes[i++ % sizes.length] ?? 1 });
  const clock = new FakeClock();
  let early = 0;
  const service = new ScriptedService(({ last, request, response }) => {
    const answer = (): void => {
      response.head(responseHead(200), false);
      response.data(bodyOf(100), 0, 100, true);
    };
    // Every third answer comes before the request has ended.
    if (last) answer();
    else if (service.requests.length % 3 === 0) {
      early++;
      request.onEvent = (event) => {
        if (event === "last" || event === "trailers") early--;
      };
      answer();
    } else
      request.onEvent = (event) => {
        if (event === "last" || event === "trailers") answer();
      };
  });
  const server = new H2Server(pair.right, service, { clock });
  const peer = new RawPeer(pair, pair.left, "client");
  peer.shakeHands();
  for (const bytes of frames) peer.raw(bytes);
  peer.settle();
  // A stream whose answer was heard to its end is closed, unless its request goes on.
  const answered = peer.of(0).filter((frame) => (frame.flags & 1) !== 0).length;
  assert.ok(
    server.openStreams <= service.requests.length - (answered - early),
    "a stream is open that has ended both ways",
  );
  pair.left.destroy();
  clock.advance(20_000);
  pair.settle();
  assert.equal(server.openStreams, 0);
  assert.equal(clock.timers, 0);
  for (const { last, request } of service.requests) {
    checkEvents(request);
    assert.ok(last || request.ended || request.error !== undefined, "an exchange without an end");
  }
  // Credit is batched by what one read brought: when it is announced depends on the cut, what is announced in all does not.
  const heard = peer.heard.filter((frame) => !frame.startsWith("WINDOW_UPDATE"));
  return [...heard, ...service.requests.map(({ request }) => `${request.events.join()} ${request.digest()}`)];
}

/**
 * Sends frames to an `H2Client` with five calls under way, one of which is given up in between.
 *
 * @returns what the server heard.
 * @throws AssertionError if an exchange has no end or two, or anything is left behind.
 */
export function answer(frames: readonly Buffer[], sizes: readonly number[], canceled: number): string[] {
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
  return peer.heard;
}
