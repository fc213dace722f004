import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../../../src/errors/proxy-error.ts";
import type { RequestHead } from "../../../src/http/message.ts";
import type { RequestSpan } from "../../../src/http/request-span.ts";
import { tracePoints, TraceRequests } from "../../../src/http/trace-requests.ts";
import { PROCESS_REPLAY_MEMORY } from "../../../src/http/replay-buffer.ts";
import {
  needsExtensions,
  RequestExtensions,
  type RetriedRule,
} from "../../../src/outbound/http/request-extensions.ts";
import { NO_TIMEOUTS } from "../../../src/policy/synthesize.ts";
import type { HeaderField } from "../../../src/wire/header-field.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import {
  BodySource,
  bodyOf,
  field,
  RecordingSink,
  requestHead,
  responseHead,
  ScriptedService,
  sha256,
  type ServedRequest,
} from "../../support/h2-exchange.ts";
import { send, textOf } from "../../support/recording-app.ts";

const KIB_64 = 65_536;
const ON_503 = {
  statusRanges: [{ low: 503, high: 503 }],
  maxRetries: 2,
  maxRequestBytes: KIB_64,
  timeoutMs: undefined,
  backoff: { minMs: 25, maxMs: 250, jitter: 1 },
};
const { statusRanges: _, ...LIMITS } = ON_503;
const ON_UNAVAILABLE = { ...LIMITS, codes: new Set([14]) };

const RULE: RetriedRule = {
  matches: [],
  filters: [],
  distribution: { kind: "empty" },
  timeouts: NO_TIMEOUTS,
  retry: ON_503,
  allowL5dRequestHeaders: false,
};

function setUp(rule: Partial<RetriedRule> = {}, random: () => number = () => 0) {
  const clock = new FakeClock(1_000);
  const server = new ScriptedService();
  const retries = {
    requests: { value: 0 },
    successes: { value: 0 },
    limitExceeded: { value: 0 },
    overflow: { value: 0 },
  };
  const service = new RequestExtensions(
    { ...RULE, ...rule },
    { attempts: server, clock, random, metrics: { retries } },
  );
  const counted = (): readonly number[] => [
    retries.requests.value,
    retries.successes.value,
    retries.limitExceeded.value,
    retries.overflow.value,
  ];
  return { clock, server, service, counted };
}

type SetUp = ReturnType<typeof setUp>;

function call({ service }: SetUp, last: boolean, head: RequestHead = requestHead("POST", "/")) {
  const response = new RecordingSink();
  const request = service.call(head, last, response);
  response.source = request;
  return { request, response };
}

/** Answers with this status and no body. */
function answer({ response }: ServedRequest, status: number, ...fields: readonly HeaderField[]): void {
  response.head(responseHead(status, ...fields), true);
}

function fail({ response }: ServedRequest, error: ProxyError): void {
  response.reset(error);
}

const FAILFAST = new ProxyError("failfast", "service in fail-fast");
const REFUSED = new ProxyError("h2_reset", "refused", { h2Code: 7 });

test("outbound 8.5: a response worth a retry is followed by another attempt, and the first that is not goes back", () => {
  const all = setUp();
  const { response } = call(all, true);
  answer(all.server.at(0), 503);
  assert.deepEqual(response.events, []);
  all.clock.advance(25);
  answer(all.server.at(1), 503);
  all.clock.advance(50);
  answer(all.server.at(2), 200);
  assert.deepEqual(response.events, ["head 200", "last"]);
  assert.deepEqual(all.counted(), [2, 1, 0, 0]);
  assert.equal(all.clock.timers, 0);
});

test("outbound 8.5: when all retries are used up the last response goes back, and is counted", () => {
  const all = setUp();
  const { response } = call(all, true);
  for (let i = 0; i < 3; i++) {
    answer(all.server.at(i), 503);
    all.clock.advance(250);
  }
  assert.deepEqual(response.events, ["head 503", "last"]);
  assert.equal(all.server.requests.length, 3);
  assert.deepEqual(all.counted(), [2, 0, 1, 0]);
});

test("outbound 7.3, 8.5: pauses double from 25 ms, with up to as much again by chance, and end at 250 ms", () => {
  const pauses = (random: number): number[] => {
    const all = setUp({ retry: { ...ON_503, maxRetries: 5 } }, () => random);
    call(all, true);
    const found: number[] = [];
    for (let i = 0; i < 5; i++) {
      answer(all.server.at(i), 503);
      let ms = 0;
      for (; all.server.requests.length === i + 1; ms++) all.clock.advance(1);
      found.push(ms);
    }
    return found;
  };
  assert.deepEqual(pauses(0), [25, 50, 100, 200, 250]);
  assert.deepEqual(pauses(0.5), [38, 75, 150, 250, 250]);
  assert.deepEqual(pauses(0.999), [50, 100, 200, 250, 250]);
});

test("a rule without a pause tries again at once, and ten thousand failures on the spot do not pile up", () => {
  const all = setUp({ retry: { ...ON_503, maxRetries: 10_000, backoff: undefined } });
  all.server.answer = ({ response }) => response.reset(FAILFAST);
  const { response } = call(all, true);
  all.clock.advance(0);
  assert.deepEqual(response.events, ["reset failfast"]);
  assert.deepEqual(all.counted(), [10_000, 0, 1, 0]);
});

test("every attempt starts from the request as it came, though layers below change heads in place", () => {
  const all = setUp();
  all.server.answer = (served) => {
    served.head.fields.push(field("added", "1"));
    served.head.version = 11;
    if (all.server.requests.length < 3) answer(served, 503);
  };
  const head = requestHead("PUT", "/x", field("a", "1"));
  head.absoluteForm = true;
  call(all, true, head);
  all.clock.advance(500);
  const seen = all.server.requests.map(({ head: got }) => [
    textOf(got.fields),
    got.method.value,
    got.path?.value,
  ]);
  assert.deepEqual(
    seen,
    [0, 1, 2].map(() => [["a: 1", "added: 1"], "PUT", "/x"]),
  );
  // The form of the target is lost on retries, as in the model.
  assert.deepEqual(
    all.server.requests.map(({ head: got }) => got.absoluteForm),
    [true, false, false],
  );
});

test("outbound 16.12: a POST with a body of 64 KiB is sent again whole; with one byte more there is exactly one attempt", () => {
  for (const [length, attempts] of [
    [KIB_64, 2],
    [KIB_64 + 1, 1],
  ] as const) {
    for (const tells of [true, false]) {
      const all = setUp();
      const body = bodyOf(length);
      const source = new BodySource(body, 16_384, 5_000);
      const fields = tells ? [field("content-length", String(length))] : [];
      const { request, response } = call(all, false, requestHead("POST", "/", ...fields));
      const credit = response.credit.bind(response);
      response.credit = (bytes) => {
        credit(bytes);
        source.credit(bytes);
      };
      source.start(request);
      answer(all.server.at(0), 503);
      all.clock.advance(25);
      assert.equal(all.server.requests.length, attempts);
      for (const { request: got } of all.server.requests) assert.equal(got.digest(), sha256(body));
      assert.equal(response.credited, length);
      if (attempts === 2) answer(all.server.at(1), 200);
      assert.deepEqual(response.events, [attempts === 2 ? "head 200" : "head 503", "last"]);
      assert.deepEqual(all.counted(), attempts === 2 ? [1, 1, 0, 0] : [0, 0, 0, 0]);
      assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
    }
  }
});

test("outbound 8.3: a body that says it is too large is not even kept", () => {
  const all = setUp();
  const { request } = call(all, false, requestHead("POST", "/", field("content-length", String(KIB_64 + 1))));
  send(request, "x".repeat(100), false);
  assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
  const other = setUp();
  const kept = call(other, false);
  send(kept.request, "x".repeat(100), false);
  assert.notEqual(PROCESS_REPLAY_MEMORY.usedBytes, 0);
  kept.request.reset(new ProxyError("canceled", "gone"));
  assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
});

test("outbound 8.3: a replay is the kept bytes as one piece, then the rest of the body, then the trailers", () => {
  const all = setUp();
  const { request, response } = call(all, false);
  send(request, "one ", false);
  send(request, "two ", false);
  fail(all.server.at(0), REFUSED);
  send(request, "three ", false);
  all.clock.advance(25);
  const again = all.server.at(1);
  assert.equal(again.last, false);
  assert.deepEqual([again.request.text, again.request.events], ["one two three ", ["data"]]);
  send(request, "four", false);
  request.trailers([field("checksum", "1")]);
  assert.deepEqual([again.request.text, again.request.events], ["one two three four", ["data", "trailers"]]);
  assert.deepEqual(textOf(again.request.trailerFields ?? []), ["checksum: 1"]);
  again.request.trailerFields?.push(field("changed", "below"));
  answer(again, 503);
  all.clock.advance(50);
  const third = all.server.at(2);
  assert.deepEqual([third.request.text, third.request.events], ["one two three four", ["data", "trailers"]]);
  assert.deepEqual(textOf(third.request.trailerFields ?? []), ["checksum: 1"]);
  answer(third, 200);
  assert.deepEqual(response.events, ["head 200", "last"]);
});

test("a body that ends with its last piece, or with nothing, ends so again", () => {
  for (const text of ["body", ""]) {
    const all = setUp();
    const { request } = call(all, false);
    send(request, text, true);
    answer(all.server.at(0), 503);
    all.clock.advance(25);
    const again = all.server.at(1);
    assert.deepEqual([again.request.text, again.last || again.request.ended], [text, true]);
    answer(again, 200);
  }
});

test("outbound 8.3: an answer to a request that is still being sent goes back as it is", () => {
  const all = setUp();
  const { request, response } = call(all, false);
  send(request, "some", false);
  answer(all.server.at(0), 503);
  assert.deepEqual(response.events, ["head 503", "last"]);
  send(request, " more", true);
  assert.equal(all.server.at(0).request.text, "some more");
  all.clock.advance(1_000);
  assert.equal(all.server.requests.length, 1);
  assert.deepEqual(all.counted(), [0, 0, 0, 0]);
});

test("a request that outgrows what is kept while its next attempt waits ends with the failure before", () => {
  const all = setUp();
  const { request, response } = call(all, false);
  fail(all.server.at(0), FAILFAST);
  const body = bodyOf(KIB_64 + 1);
  request.data(body, 0, body.length, false);
  assert.deepEqual(response.events, ["reset failfast"]);
  assert.equal(all.clock.timers, 0);
  assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
});

test("credit for the request is passed on once, however often its bytes are sent", () => {
  const all = setUp();
  const { request, response } = call(all, false);
  all.server.at(0).request.holding = true;
  send(request, "0123456789", false);
  all.server.at(0).response.credit(4);
  assert.equal(response.credited, 4);
  fail(all.server.at(0), REFUSED);
  all.server.at(0).response.credit(6);
  assert.equal(response.credited, 4);
  all.server.answer = (served) => (served.request.holding = true);
  all.clock.advance(25);
  const again = all.server.at(1);
  again.response.credit(2);
  assert.equal(response.credited, 4);
  again.request.held = 0;
  again.request.holding = false;
  again.response.credit(8);
  assert.equal(response.credited, 10);
  send(request, "abc", true);
  assert.equal(response.credited, 13);
  answer(all.server.at(1), 200);
});

test("what is left of a response that is not passed on has the pause to come to its end, and is then canceled", () => {
  const all = setUp();
  const { response } = call(all, true);
  const [complete, slow] = [0, 1];
  all.server.at(complete).response.head(responseHead(503), false);
  send(all.server.at(complete).response, "sorry", true);
  all.clock.advance(25);
  // All its bytes are credited, so that the connection does not lose them from its window.
  assert.deepEqual(
    [all.server.at(complete).request.credited, all.server.at(complete).request.error],
    [5, undefined],
  );
  all.server.at(slow).response.head(responseHead(503), false);
  send(all.server.at(slow).response, "sorry, but", false);
  assert.equal(all.server.at(slow).request.error, undefined);
  all.clock.advance(50);
  assert.equal(all.server.at(slow).request.error?.code, "canceled");
  answer(all.server.at(2), 200);
  // Late frames of an attempt that counts no more.
  send(all.server.at(slow).response, " late", true);
  assert.deepEqual([response.events, response.text], [["head 200", "last"], ""]);
});

test("outbound 11.1: an attempt that asked for the end of the connection gets it, though a later one succeeds", () => {
  const all = setUp();
  const { response } = call(all, true);
  const closing = responseHead(503);
  closing.closeConnection = true;
  all.server.at(0).response.head(closing, true);
  all.clock.advance(25);
  answer(all.server.at(1), 200);
  assert.equal(response.response?.closeConnection, true);
});

test("outbound 8.2: a failure without a response is retried where another attempt may spare it", () => {
  for (const [error, attempts] of [
    [FAILFAST, 2],
    [REFUSED, 2],
    [new ProxyError("response_headers_timeout", "late"), 2],
    [new ProxyError("request_timeout", "late"), 1],
    [new ProxyError("response_timeout", "late"), 1],
    [new ProxyError("loadshed", "no backend"), 1],
    [new ProxyError("io", "broken"), 1],
  ] as const) {
    const all = setUp();
    const { response } = call(all, true);
    fail(all.server.at(0), error);
    all.clock.advance(25);
    assert.equal(all.server.requests.length, attempts, error.code);
    assert.deepEqual(response.events, attempts === 2 ? [] : [`reset ${error.code}`]);
  }
});

test("outbound 8.5: a retry that finds no backend ready ends with that, not with the failure before", () => {
  const all = setUp();
  const { response } = call(all, true);
  answer(all.server.at(0), 503);
  all.clock.advance(25);
  fail(all.server.at(1), new ProxyError("loadshed", "service unavailable"));
  assert.deepEqual(response.events, ["reset loadshed"]);
  assert.deepEqual(all.counted(), [1, 0, 0, 1]);
});

test("nothing is retried once a response has begun", () => {
  const all = setUp();
  const { response } = call(all, true);
  all.server.at(0).response.head(responseHead(200), false);
  send(all.server.at(0).response, "half", false);
  fail(all.server.at(0), REFUSED);
  all.clock.advance(1_000);
  assert.deepEqual(response.events, ["head 200", "data", "reset h2_reset"]);
  assert.equal(all.server.requests.length, 1);
});

test("outbound 8.5: upgrades and CONNECT are never retried", () => {
  const upgrade = requestHead("GET", "/");
  upgrade.upgrade = true;
  const connect = requestHead("CONNECT", "/");
  connect.path = undefined;
  for (const head of [upgrade, connect]) {
    const all = setUp();
    const { response } = call(all, false, head);
    answer(all.server.at(0), 503);
    assert.deepEqual(response.events, ["head 503", "last"]);
  }
});

test("a client that leaves ends it all: the attempt under way, the pause, what was kept", () => {
  const gone = new ProxyError("canceled", "client left");
  const sending = setUp();
  const first = call(sending, false);
  send(first.request, "body", false);
  first.request.reset(gone);
  assert.equal(sending.server.at(0).request.error, gone);
  const pausing = setUp();
  const second = call(pausing, true);
  pausing.server.at(0).response.head(responseHead(503), false);
  second.request.reset(gone);
  assert.equal(pausing.server.at(0).request.error, gone);
  pausing.clock.advance(1_000);
  assert.equal(pausing.server.requests.length, 1);
  for (const { response } of [first, second]) assert.deepEqual(response.events, []);
  assert.deepEqual([sending.clock.timers, pausing.clock.timers, PROCESS_REPLAY_MEMORY.usedBytes], [0, 0, 0]);
});

const STATUS_14 = field("grpc-status", "14");

test("outbound 16.13: unavailable is retried in a response of trailers only, and in the trailers of a unary one", () => {
  const all = setUp({ retry: ON_UNAVAILABLE });
  const { response } = call(all, true);
  answer(all.server.at(0), 200, STATUS_14);
  all.clock.advance(25);
  const unary = all.server.at(1);
  unary.response.head(responseHead(200), false);
  send(unary.response, "message", false);
  unary.response.trailers([STATUS_14]);
  all.clock.advance(50);
  assert.deepEqual([unary.request.credited, unary.request.error], [7, undefined]);
  const good = all.server.at(2);
  good.response.head(responseHead(200), false);
  send(good.response, "message", false);
  good.response.trailers([field("grpc-status", "0")]);
  all.clock.advance(0);
  assert.deepEqual(response.events, ["head 200", "data", "trailers"]);
  assert.deepEqual([response.text, good.request.credited], ["message", 7]);
  assert.equal(all.clock.timers, 0);
  assert.deepEqual(all.counted(), [2, 1, 0, 0]);
});

test("outbound 16.13: unavailable after two messages, or after a message that came earlier, goes back as it is", () => {
  for (const waits of [true, false]) {
    const all = setUp({ retry: ON_UNAVAILABLE });
    const { response } = call(all, true);
    const stream = all.server.at(0).response;
    stream.head(responseHead(200), false);
    // Nothing to see yet: the head waits for the first frame of the body.
    assert.deepEqual(response.events, []);
    send(stream, "one", false);
    if (waits) all.clock.advance(0);
    else send(stream, "two", false);
    assert.deepEqual(response.events, ["head 200", "data"]);
    stream.trailers([STATUS_14]);
    all.clock.advance(0);
    assert.deepEqual(response.events, ["head 200", "data", "trailers"]);
    assert.equal(response.text, waits ? "one" : "onetwo");
    assert.equal(all.server.requests.length, 1);
  }
});

test("a response that breaks off while it is held goes back with its break", () => {
  const all = setUp({ retry: ON_UNAVAILABLE });
  const { response } = call(all, true);
  all.server.at(0).response.head(responseHead(200), false);
  send(all.server.at(0).response, "half", false);
  fail(all.server.at(0), new ProxyError("io", "broken"));
  all.clock.advance(0);
  assert.deepEqual(response.events, ["head 200", "data", "reset io"]);
});

test("outbound 8.4: a gRPC status worth a retry goes back with its body when all retries are used up", () => {
  const all = setUp({ retry: { ...ON_UNAVAILABLE, maxRetries: 0 } });
  const { response } = call(all, true);
  all.server.at(0).response.head(responseHead(200), false);
  send(all.server.at(0).response, "message", false);
  all.server.at(0).response.trailers([STATUS_14]);
  all.clock.advance(0);
  assert.deepEqual([response.events, response.text], [["head 200", "data", "trailers"], "message"]);
  assert.deepEqual(all.counted(), [0, 0, 1, 0]);
});

test("outbound 8.5, 9: each attempt but the last has the per-try timeout, all have one deadline", () => {
  const timeouts = { requestMs: 10_000, responseMs: 700, idleMs: undefined };
  const all = setUp({ retry: { ...ON_503, timeoutMs: 100 }, timeouts });
  call(all, true);
  answer(all.server.at(0), 503);
  all.clock.advance(25);
  answer(all.server.at(1), 503);
  all.clock.advance(50);
  const seen = all.server.requests.map(({ head }) => head.timeouts);
  assert.deepEqual(
    seen.map((t) => [t?.headersMs, t?.responseMs, t?.deadlineMs]),
    [
      [100, 700, 11_000],
      [100, 700, 11_000],
      [undefined, 700, 11_000],
    ],
  );
});

test("outbound 16.16: l5d-timeout counts and is stripped where the rule allows it, else it is ignored and forwarded", () => {
  for (const allowL5dRequestHeaders of [true, false]) {
    const all = setUp({ retry: undefined, allowL5dRequestHeaders });
    call(all, true, requestHead("GET", "/", field("l5d-timeout", "2s"), field("l5d-retry-limit", "4")));
    const { head } = all.server.at(0);
    assert.deepEqual(head.timeouts?.deadlineMs, allowL5dRequestHeaders ? 3_000 : undefined);
    assert.equal(head.fields.length, allowL5dRequestHeaders ? 0 : 2);
  }
});

test("a rule without retries, timeouts and headers of requests needs nothing of this; each of them alone does", () => {
  const plain = { ...RULE, retry: undefined };
  assert.equal(needsExtensions(plain), false);
  assert.equal(needsExtensions(RULE), true);
  assert.equal(needsExtensions({ ...plain, allowL5dRequestHeaders: true }), true);
  for (const name of ["requestMs", "responseMs", "idleMs"] as const) {
    assert.equal(needsExtensions({ ...plain, timeouts: { ...NO_TIMEOUTS, [name]: 1 } }), true);
  }
  const all = setUp({ retry: undefined });
  call(all, true);
  assert.deepEqual([all.server.at(0).head.timeouts, all.clock.timers], [undefined, 0]);
});

test("outbound 3.8: every attempt is a span of its own below the span of the request", () => {
  const clock = new FakeClock(1_000);
  const server = new ScriptedService();
  const spans: RequestSpan[] = [];
  let drawn = 0;
  const tracing = {
    clock,
    random: () => ++drawn / 2 ** 32,
    report: (span: RequestSpan) => void spans.push(span),
  };
  const { server: outer, client } = tracePoints(tracing, "outbound");
  const counters = {
    requests: { value: 0 },
    successes: { value: 0 },
    limitExceeded: { value: 0 },
    overflow: { value: 0 },
  };
  const attempts = new TraceRequests(server, client);
  const context = { attempts, clock, random: () => 0, metrics: { retries: counters } };
  const service = new TraceRequests(new RequestExtensions(RULE, context), outer);
  const sampled = field("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  service.call(requestHead("GET", "/", sampled), true, new RecordingSink());
  server.at(0).response.head(responseHead(503), true);
  clock.advance(1_000);
  server.at(1).response.head(responseHead(200), true);
  assert.deepEqual(
    spans.map((s) => [s.kind, s.attributes.at(-1)?.[1], s.spanId, s.parentId]),
    [
      ["client", "503", "0000000300000004", "0000000100000002"],
      ["server", "200", "0000000100000002", "00f067aa0ba902b7"],
      ["client", "200", "0000000500000006", "0000000100000002"],
    ],
  );
});
