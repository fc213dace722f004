import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import type { ResponseSink, Sink } from "../../src/http/message.ts";
import { metaDefault } from "../../src/policy/meta.ts";
import { ClientOfRequest } from "../../src/tap/client-of-request.ts";
import type { TapEvent, TapStep } from "../../src/tap/event.ts";
import { inboundTapPoint, outboundTapPoint } from "../../src/tap/point.ts";
import { TapRegistry, TAPS_MAX } from "../../src/tap/registry.ts";
import { WAITING_BYTES_MAX, WAITING_EVENTS_MAX, type Tap, type TapRequest } from "../../src/tap/tap.ts";
import { TappedService } from "../../src/tap/tapped-service.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { field, RecordingSink, requestHead, responseHead, ScriptedService } from "../support/h2-exchange.ts";

const addr = (text: string) => {
  const parsed = parseSocketAddr(text);
  assert.ok(parsed.ok);
  return parsed.value;
};
const POINT = outboundTapPoint({
  addr: addr("192.0.2.1:80"),
  tls: { kind: "none", reason: "not_provided_by_service_discovery" },
  labels: [["service", "web"]],
  authorityOverride: undefined,
});
const ALL: TapRequest = { limit: 10, match: { kind: "all", of: [] }, headers: false };

/** A tapped leaf and its observers. */
class Stage {
  readonly clock = new FakeClock();
  readonly lost = { value: 0 };
  readonly taps = new TapRegistry({ nowMs: () => this.clock.nowMs(), lost: this.lost });
  readonly leaf = new ScriptedService();
  readonly service: TappedService;
  changes = 0;

  constructor(point = POINT) {
    this.service = new TappedService(this.taps, point, this.leaf);
  }

  observe(request: Partial<TapRequest> = {}): Tap {
    const tap = this.taps.observe({ ...ALL, ...request }, () => this.changes++);
    assert.ok(tap !== undefined);
    return tap;
  }

  call(head = requestHead("GET", "/a?b"), sink: ResponseSink = new RecordingSink()): Sink {
    return this.service.call(head, true, sink);
  }

  /** What the leaf was given for its latest request. */
  get response(): ResponseSink {
    return this.leaf.at(this.leaf.requests.length - 1).response;
  }
}

function taken(tap: Tap): TapEvent[] {
  const events: TapEvent[] = [];
  for (let event = tap.take(); event !== undefined; event = tap.take()) events.push(event);
  return events;
}
const steps = (tap: Tap): readonly TapStep[] => taken(tap).map(({ step }) => step);
const kinds = (tap: Tap): string =>
  steps(tap)
    .map(({ kind }) => kind)
    .join(" ");
function endOf(tap: Tap): Extract<TapStep, { kind: "response_end" }> {
  const last = steps(tap).at(-1);
  assert.ok(last?.kind === "response_end");
  return last;
}

describe("the layer that taps", () => {
  it("passes requests on as they are while nobody observes, and when nobody asks for them", () => {
    const stage = new Stage();
    const sink = new RecordingSink();
    const returned = stage.call(requestHead("GET", "/"), sink);
    assert.equal(stage.taps.active, false);
    // The very sinks of caller and leaf: nothing stands between them.
    assert.equal(stage.response, sink);
    assert.equal(returned, stage.leaf.at(0).request);
    stage.observe({ match: { kind: "any", of: [] } });
    assert.equal(stage.taps.active, true);
    stage.call(requestHead("GET", "/"), sink);
    assert.equal(stage.response, sink);
  });

  it("tells a request from its head to its end, with times since it began", () => {
    const stage = new Stage();
    const tap = stage.observe();
    stage.call();
    stage.clock.advance(20);
    stage.response.head(responseHead(200), false);
    stage.clock.advance(30);
    stage.response.data(Buffer.alloc(100), 10, 60, false);
    stage.response.data(Buffer.alloc(100), 0, 7, true);
    assert.deepEqual(steps(tap), [
      {
        kind: "request_init",
        method: "GET",
        scheme: "http",
        authority: "h.test",
        path: "/a",
        headers: undefined,
      },
      { kind: "response_init", sinceRequestMs: 20, status: 200, headers: undefined },
      {
        kind: "response_end",
        sinceRequestMs: 50,
        sinceResponseMs: 30,
        responseBytes: 57,
        end: { kind: "plain" },
        trailers: undefined,
      },
    ]);
  });

  it("copies headers when it sees them, whatever becomes of them later", () => {
    const stage = new Stage();
    const tap = stage.observe({ headers: true });
    const head = requestHead("GET", "/", field("x-a", "1"));
    stage.call(head);
    head.fields.length = 0;
    const answer = responseHead(200, field("x-b", "2"));
    stage.response.head(answer, false);
    answer.fields.length = 0;
    stage.response.trailers([field("x-c", "3")]);
    const [init, response, end] = steps(tap);
    const text = (fields: TapStep | undefined): string => {
      const list = fields?.kind === "response_end" ? fields.trailers : fields?.headers;
      return (list ?? []).map(({ name, value }) => `${name.text}=${value}`).join(" ");
    };
    assert.match(text(init), /^:method=GET :scheme=http :authority=h\.test :path=\/ x-a=1$/);
    assert.equal(text(response), ":status=200 x-b=2");
    assert.equal(text(end), "x-c=3");
  });

  for (const [what, respond, end] of [
    ["trailers", (r: ResponseSink) => r.trailers([field("grpc-status", "7")]), { kind: "grpc", status: 7 }],
    ["a head without body", undefined, { kind: "grpc", status: 5 }],
    ["trailers without one", (r: ResponseSink) => r.trailers([field("x", "y")]), { kind: "grpc", status: 5 }],
    [
      "a reset",
      (r: ResponseSink) => r.reset(new ProxyError("h2_reset", "reset", { h2Code: 2 })),
      { kind: "reset", code: 2 },
    ],
    ["a broken connection", (r: ResponseSink) => r.reset(new ProxyError("io", "gone")), { kind: "plain" }],
  ] as const) {
    it(`inbound 9.1: the end of a response with a status by ${what}`, () => {
      const stage = new Stage();
      const tap = stage.observe();
      stage.call();
      stage.response.head(responseHead(200, field("grpc-status", "5")), respond === undefined);
      respond?.(stage.response);
      assert.deepEqual(endOf(tap).end, end);
    });
  }

  it("tells of an exchange that its client gave up", () => {
    const stage = new Stage();
    const tap = stage.observe();
    const request = stage.service.call(requestHead("POST", "/"), false, new RecordingSink());
    request.reset(new ProxyError("canceled", "left", { h2Code: 8 }));
    const end = endOf(tap);
    assert.deepEqual([end.end, end.sinceResponseMs], [{ kind: "reset", code: 8 }, undefined]);
  });

  it("ends with the head of a tunnel: what is carried there is no response body", () => {
    const stage = new Stage();
    const tap = stage.observe({ limit: 2 });
    stage.call();
    stage.response.head(responseHead(101), false);
    stage.response.data(Buffer.alloc(5), 0, 5, true);
    stage.call(requestHead("CONNECT", "/"));
    stage.response.head(responseHead(200), false);
    const ends = steps(tap).filter(({ kind }) => kind === "response_end");
    assert.deepEqual(
      ends.map((step) => step.kind === "response_end" && step.responseBytes),
      [0, 0],
    );
    assert.ok(tap.over);
  });

  it("shows one request to all taps that ask for it, each under numbers of its own", () => {
    const stage = new Stage();
    const [first, second] = [stage.observe(), stage.observe()];
    stage.call();
    stage.call();
    assert.deepEqual(
      [first, second].map((tap) =>
        taken(tap)
          .map(({ id }) => `${id.tap}/${id.request}`)
          .join(),
      ),
      ["0/0,0/1", "1/0,1/1"],
    );
  });

  it("knows the client that the connection is from, and Host where there is no authority", () => {
    const stage = new Stage();
    const tap = stage.observe();
    const client = addr("198.51.100.1:4711");
    const head = requestHead("GET", "/", field("host", "shop"));
    head.authority = undefined;
    new ClientOfRequest(stage.service, client).call(head, true, new RecordingSink());
    const [event] = taken(tap);
    assert.equal(event?.request.source, client);
    assert.ok(event.step.kind === "request_init");
    assert.equal(event.step.authority, "shop");
  });

  it("is told who speaks to whom by its point", () => {
    const inbound = inboundTapPoint({
      tls: { kind: "none", reason: "no_tls_from_remote" },
      target: addr("10.0.0.1:8080"),
      server: metaDefault("all-unauthenticated"),
      route: metaDefault("default"),
      authorization: metaDefault("probe"),
    });
    assert.deepEqual(inbound.sourceLabels, [["tls", "no_tls_from_remote"]]);
    assert.deepEqual(inbound.destinationLabels.at(-1), ["authz_name", "probe"]);
    const gateway = new Stage({ ...POINT, authority: "other:80" });
    const tap = gateway.observe();
    gateway.call();
    const [event] = taken(tap);
    assert.deepEqual(event?.request.destinationLabels, [
      ["service", "web"],
      ["tls", "not_provided_by_service_discovery"],
    ]);
    assert.ok(event.step.kind === "request_init");
    assert.equal(event.step.authority, "other:80");
  });
});

describe("the bounds of taps", () => {
  it("inbound 9.1: a tap takes as many requests as were asked for, and is over when the last has ended", () => {
    const stage = new Stage();
    const tap = stage.observe({ limit: 2 });
    stage.call();
    const first = stage.response;
    stage.call();
    const second = stage.response;
    assert.equal(stage.taps.active, false);
    stage.call();
    second.head(responseHead(200), true);
    assert.equal(kinds(tap), "request_init request_init response_init response_end");
    assert.equal(tap.over, false);
    first.head(responseHead(200), true);
    assert.equal(kinds(tap), "response_init response_end");
    assert.equal(tap.over, true);
  });

  it("inbound 9.1: beyond 400 events that nobody has read, events and whole requests are lost and counted", () => {
    const stage = new Stage();
    const tap = stage.observe({ limit: 1_000 });
    const responses: ResponseSink[] = [];
    for (let i = 0; i < 500; i++) {
      stage.call();
      responses.push(stage.response);
    }
    assert.equal(stage.lost.value, 100);
    for (const response of responses) response.head(responseHead(200), true);
    // Two events of each of the 400; those that were not taken are not looked at any more.
    assert.equal(stage.lost.value, 900);
    assert.equal(taken(tap).length, WAITING_EVENTS_MAX);
    // They count against the limit all the same, so that a slow observer comes to an end.
    for (let i = 0; i < 500; i++) {
      stage.call();
      stage.response.head(responseHead(200), true);
      taken(tap);
    }
    assert.equal(tap.over, true);
    assert.equal(stage.taps.active, false);
  });

  it("is told that a tap is over even if its last event was lost", () => {
    const stage = new Stage();
    const tap = stage.observe({ limit: WAITING_EVENTS_MAX });
    for (let i = 0; i < WAITING_EVENTS_MAX; i++) stage.call();
    taken(tap);
    const before = stage.changes;
    const late = Array.from({ length: WAITING_EVENTS_MAX }, (_, i) => stage.leaf.at(i).response);
    for (const response of late) response.head(responseHead(200), true);
    assert.equal(stage.lost.value, WAITING_EVENTS_MAX);
    taken(tap);
    assert.equal(tap.over, true);
    assert.ok(stage.changes > before + WAITING_EVENTS_MAX);
  });

  it("large headers fill the buffer sooner", () => {
    const stage = new Stage();
    const tap = stage.observe({ limit: 1_000, headers: true });
    for (let i = 0; i < 100; i++) stage.call(requestHead("GET", "/", field("x", "y".repeat(60_000))));
    const bytes = taken(tap).length * 60_000;
    assert.ok(bytes <= WAITING_BYTES_MAX && bytes > WAITING_BYTES_MAX / 2, String(bytes));
  });

  it("there are so many taps and no more, until one ends", () => {
    const stage = new Stage();
    const [first] = Array.from({ length: TAPS_MAX }, () => stage.observe());
    assert.equal(
      stage.taps.observe(ALL, () => {}),
      undefined,
    );
    assert.ok(first !== undefined);
    stage.taps.end(first);
    assert.equal(stage.taps.running, TAPS_MAX - 1);
    stage.observe();
  });

  it("an observer that leaves hears nothing more, and what it saw goes on", () => {
    const stage = new Stage();
    const tap = stage.observe();
    const sink = new RecordingSink();
    stage.call(requestHead("GET", "/"), sink);
    stage.taps.end(tap);
    assert.equal(stage.taps.active, false);
    const before = stage.changes;
    stage.response.head(responseHead(200), true);
    assert.equal(stage.changes, before);
    assert.equal(tap.take(), undefined);
    assert.equal(tap.over, true);
  });

  it("an observer may leave while its request is being shown", () => {
    const stage = new Stage();
    const tap = stage.taps.observe(ALL, () => stage.taps.end(holder()));
    const holder = (): Tap => {
      assert.ok(tap !== undefined);
      return tap;
    };
    const other = stage.observe();
    stage.call();
    stage.response.head(responseHead(200), true);
    assert.equal(kinds(other), "request_init response_init response_end");
    assert.equal(stage.taps.running, 1);
  });
});
