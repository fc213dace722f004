import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { EnforceTimeouts } from "../../src/http/enforce-timeouts.ts";
import { h2CodeOf } from "../../src/http/h2-reset.ts";
import type { HttpVersion } from "../../src/http/message.ts";
import type { StreamTimeouts } from "../../src/http/timeouts.ts";
import { H2Code } from "../../src/wire/http2/error-code.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RecordingSink, requestHead, responseHead, ScriptedService } from "../support/h2-exchange.ts";
import { send } from "../support/recording-app.ts";

interface Options {
  readonly last?: boolean;
  readonly version?: HttpVersion;
  readonly method?: string;
}

/** One request with these timeouts, its deadline counted from now. */
function setUp(limits: Partial<Omit<StreamTimeouts, "deadlineMs">>, options: Options = {}) {
  const { last = true, version = 20, method = "POST" } = options;
  const clock = new FakeClock(1_000);
  const server = new ScriptedService();
  const { headersMs, responseMs, idleMs, requestMs } = limits;
  const head = requestHead(method, "/");
  head.version = version;
  if (method === "CONNECT") head.path = undefined;
  const deadlineMs = requestMs === undefined ? Infinity : clock.nowMs() + requestMs;
  head.timeouts = { headersMs, responseMs, idleMs, requestMs, deadlineMs };
  const response = new RecordingSink();
  const request = new EnforceTimeouts(server, clock, "endpoint 192.0.2.1:80").call(head, last, response);
  response.source = request;
  const served = server.at(0);
  const respond = (): void => served.response.head(responseHead(200), false);
  return { clock, served, request, response, respond };
}

function codeOf({ error }: RecordingSink): string | undefined {
  return error?.code;
}

type Case = readonly [string, Partial<Omit<StreamTimeouts, "deadlineMs">>, number, string, string];

test("outbound 9: before the head the per-try timeout counts, else that of the response, and always the deadline", () => {
  const cases: readonly Case[] = [
    ["per try", { headersMs: 100 }, 100, "response_headers_timeout", "response header timeout: 100ms"],
    ["response", { responseMs: 100 }, 100, "response_timeout", "response stream timeout: 100ms"],
    ["deadline", { requestMs: 1_000 }, 1_000, "request_timeout", "request timeout: 1s"],
    [
      "per try first",
      { headersMs: 200, responseMs: 100 },
      200,
      "response_headers_timeout",
      "header timeout: 200ms",
    ],
    [
      "earlier deadline",
      { headersMs: 200, requestMs: 100 },
      100,
      "request_timeout",
      "request timeout: 100ms",
    ],
    ["later deadline", { responseMs: 100, requestMs: 200 }, 100, "response_timeout", "stream timeout: 100ms"],
  ];
  for (const [name, limits, afterMs, code, text] of cases) {
    const { clock, response, served } = setUp(limits);
    assert.equal(clock.timers, 1, name);
    clock.advance(afterMs - 1);
    assert.deepEqual(response.events, [], name);
    clock.advance(1);
    assert.deepEqual(response.events, [`reset ${code}`], name);
    const message = response.error?.message ?? "";
    assert.ok(message.startsWith("endpoint 192.0.2.1:80: timed out waiting for response headers: "), message);
    assert.ok(message.endsWith(text), message);
    // The server is told that nobody waits.
    assert.equal(served.request.error?.code, "canceled", name);
    assert.equal(clock.timers, 0, name);
  }
});

test("outbound 9: while the request is being sent only its deadline runs", () => {
  const { clock, request, response } = setUp({ headersMs: 100, requestMs: 5_000 }, { last: false });
  clock.advance(1_000);
  send(request, "body", false);
  clock.advance(1_000);
  send(request, "", true);
  clock.advance(99);
  assert.deepEqual(response.events, []);
  clock.advance(1);
  assert.deepEqual(response.events, ["reset response_headers_timeout"]);
  const late = setUp({ headersMs: 100, requestMs: 500 }, { last: false });
  late.clock.advance(500);
  assert.deepEqual(late.response.events, ["reset request_timeout"]);
});

test("outbound 9: trailers end a request as well", () => {
  const { clock, request, response } = setUp({ headersMs: 100 }, { last: false });
  send(request, "body", false);
  assert.equal(clock.timers, 0);
  request.trailers([]);
  clock.advance(100);
  assert.deepEqual(response.events, ["reset response_headers_timeout"]);
});

test("outbound 9: the response timeout runs from the end of the request to the end of the response", () => {
  const { clock, response, respond, served } = setUp({ responseMs: 1_000 });
  clock.advance(600);
  respond();
  send(served.response, "some", false);
  clock.advance(399);
  assert.deepEqual(response.events, ["head 200", "data"]);
  clock.advance(1);
  assert.deepEqual(response.events, ["head 200", "data", "reset response_timeout"]);
  assert.match(
    response.error?.message ?? "",
    /: timed out processing response stream: response stream timeout: 1s$/,
  );
  assert.equal(served.request.error?.code, "canceled");
});

test("outbound 9: where the head comes before the end of the request the response timeout runs from the head", () => {
  const { clock, request, response, respond } = setUp({ responseMs: 1_000 }, { last: false });
  clock.advance(5_000);
  respond();
  clock.advance(900);
  send(request, "", true);
  clock.advance(100);
  assert.deepEqual(response.events, ["head 200", "reset response_timeout"]);
});

test("outbound 9: after the head the per-try timeout is over, the deadline is not", () => {
  const { clock, response, respond } = setUp({ headersMs: 100, requestMs: 1_000 });
  clock.advance(50);
  respond();
  clock.advance(949);
  assert.deepEqual(response.events, ["head 200"]);
  clock.advance(1);
  assert.deepEqual(response.events, ["head 200", "reset request_timeout"]);
});

test("outbound 9: a body is idle when nothing has moved either way for as long as allowed", () => {
  const { clock, request, response, respond, served } = setUp({ idleMs: 100 }, { last: false });
  const steps = [
    () => send(request, "a", false),
    respond,
    () => send(served.response, "b", false),
    () => send(request, "c", true),
    () => send(served.response, "d", false),
  ];
  for (const step of steps) {
    clock.advance(99);
    step();
  }
  clock.advance(99);
  assert.equal(codeOf(response), undefined);
  assert.equal(clock.timers, 1);
  clock.advance(1);
  assert.equal(response.error?.code, "stream_idle_timeout");
  assert.match(response.error?.message ?? "", /: timed out processing response stream: idle timeout: 100ms$/);
});

test("outbound 9: between the end of the request and the response head nobody is idle", () => {
  const { clock, response, respond } = setUp({ idleMs: 100 });
  clock.advance(10_050);
  assert.deepEqual(response.events, []);
  respond();
  clock.advance(99);
  assert.deepEqual(response.events, ["head 200"]);
  clock.advance(1);
  assert.deepEqual(response.events, ["head 200", "reset stream_idle_timeout"]);
});

test("outbound 9: while the client does not read it is not the server that is idle", () => {
  const { clock, response, respond, served } = setUp({ idleMs: 100 });
  respond();
  response.holding = true;
  send(served.response, "bytes", false);
  clock.advance(10_000);
  assert.equal(codeOf(response), undefined);
  response.release();
  clock.advance(99);
  assert.equal(codeOf(response), undefined);
  clock.advance(1);
  assert.equal(response.error?.code, "stream_idle_timeout");
});

test("outbound 9: an upload that stalls breaks off: a reset for HTTP/2, an error to be answered for HTTP/1", () => {
  for (const [version, code] of [
    [20, "h2_reset"],
    [11, "stream_idle_timeout"],
  ] as const) {
    const { clock, request, response, served } = setUp({ idleMs: 100 }, { last: false, version });
    send(request, "half", false);
    clock.advance(100);
    assert.deepEqual(response.events, [`reset ${code}`]);
    if (version === 20) assert.equal(response.error?.detail.h2Code, H2Code.internalError);
    // No cancel: the server is to see that the request is not complete.
    assert.equal(served.request.error && h2CodeOf(served.request.error), H2Code.internalError);
  }
});

test("an upload that the server does not read is not idle for want of the client", () => {
  const clock = new FakeClock();
  const server = new ScriptedService(({ request }) => (request.holding = true));
  const head = requestHead("POST", "/");
  head.timeouts = {
    headersMs: undefined,
    responseMs: undefined,
    requestMs: undefined,
    deadlineMs: Infinity,
    idleMs: 100,
  };
  const response = new RecordingSink();
  const request = new EnforceTimeouts(server, clock, "x").call(head, false, response);
  send(request, "bytes", false);
  clock.advance(1_000);
  assert.deepEqual(response.events, []);
  server.at(0).request.release();
  clock.advance(100);
  assert.deepEqual(response.events, ["reset h2_reset"]);
});

test("a request that has waited beyond its deadline is not even sent", () => {
  const clock = new FakeClock(2_000);
  const server = new ScriptedService();
  const head = requestHead("GET", "/");
  head.timeouts = {
    headersMs: undefined,
    responseMs: undefined,
    idleMs: undefined,
    requestMs: 500,
    deadlineMs: 2_000,
  };
  const response = new RecordingSink();
  new EnforceTimeouts(server, clock, "x").call(head, true, response);
  assert.deepEqual(
    [response.events, server.requests.length, clock.timers],
    [["reset request_timeout"], 0, 0],
  );
});

test("outbound 9: a tunnel is outside of all limits", () => {
  const limits = { headersMs: 100, responseMs: 100, idleMs: 100, requestMs: 100 };
  const upgrade = setUp(limits, { last: false, method: "GET", version: 11 });
  upgrade.served.response.head(responseHead(101), false);
  const connect = setUp(limits, { last: false, method: "CONNECT" });
  connect.respond();
  for (const { clock, request, response, served } of [upgrade, connect]) {
    assert.equal(clock.timers, 0);
    clock.advance(10_000);
    send(request, "to", true);
    send(served.response, "fro", true);
    assert.deepEqual([response.error, served.request.text, response.text], [undefined, "to", "fro"]);
    assert.equal(clock.timers, 0);
  }
});

test("a declined CONNECT is a response like any other", () => {
  const { clock, response, served } = setUp({ responseMs: 100 }, { method: "CONNECT" });
  served.response.head(responseHead(403), false);
  clock.advance(100);
  assert.deepEqual(response.events, ["head 403", "reset response_timeout"]);
});

test("however an exchange ends, its timer is gone", () => {
  const ends: readonly ((it: ReturnType<typeof setUp>) => void)[] = [
    ({ served }) => served.response.head(responseHead(200), true),
    ({ respond, served }) => (respond(), send(served.response, "x", true)),
    ({ respond, served }) => (respond(), served.response.trailers([])),
    ({ served }) => served.response.reset(new ProxyError("io", "broken")),
    ({ request }) => request.reset(new ProxyError("canceled", "gone")),
  ];
  for (const end of ends) {
    const it = setUp({ headersMs: 100, responseMs: 200, idleMs: 50, requestMs: 1_000 });
    assert.equal(it.clock.timers, 1);
    end(it);
    assert.equal(it.clock.timers, 0);
  }
});

test("however many signs of life, there is one timer, and it is not set anew for each", () => {
  let set = 0;
  class CountingClock extends FakeClock {
    override after(delayMs: number, f: () => void): ReturnType<FakeClock["after"]> {
      set++;
      return super.after(delayMs, f);
    }
  }
  const clock = new CountingClock();
  const server = new ScriptedService();
  const head = requestHead("GET", "/");
  head.timeouts = {
    headersMs: undefined,
    responseMs: undefined,
    requestMs: 60_000,
    deadlineMs: 60_000,
    idleMs: 1_000,
  };
  const response = new RecordingSink();
  response.source = new EnforceTimeouts(server, clock, "x").call(head, true, response);
  clock.advance(10);
  server.at(0).response.head(responseHead(200), false);
  assert.equal(set, 1);
  for (let i = 0; i < 1_000; i++) {
    clock.advance(10);
    send(server.at(0).response, "x", false);
    assert.equal(clock.timers, 1);
  }
  assert.ok(set <= 12, String(set));
  assert.equal(codeOf(response), undefined);
});

test("a request without timeouts costs nothing", () => {
  const clock = new FakeClock();
  const server = new ScriptedService();
  const response = new RecordingSink();
  new EnforceTimeouts(server, clock, "x").call(requestHead("GET", "/"), true, response);
  assert.equal(server.at(0).response, response);
});
