import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RequestHead } from "../../src/http/message.ts";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import type { RequestSpan } from "../../src/http/request-span.ts";
import { TraceRequests, tracePoints } from "../../src/http/trace-requests.ts";
import { AUTHORITY } from "../../src/http/message.ts";
import { headerField } from "../../src/wire/header-field.ts";
import { SPAN_ATTRIBUTE_CHARS } from "../../src/wire/limits.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { field, RecordingSink, requestHead, responseHead, ScriptedService } from "../support/h2-exchange.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = "00f067aa0ba902b7";
const SAMPLED = field("traceparent", `00-${TRACE}-${PARENT}-01`);

/** A layer over a service whose answers the test gives, and the spans that came of it. */
function traced(kind: "server" | "client" = "server", random: () => number = () => 0.5) {
  const clock = new FakeClock(1_000);
  const spans: RequestSpan[] = [];
  const points = tracePoints({ clock, random, report: (span) => void spans.push(span) }, "inbound");
  const service = new ScriptedService();
  return { clock, spans, service, layer: new TraceRequests(service, points[kind]) };
}

/** The attributes of one sampled request, answered with 200. */
function attributesOf(head: RequestHead): Record<string, string> {
  const { spans, service, layer } = traced();
  head.fields.push(SAMPLED);
  layer.call(head, true, new RecordingSink());
  service.at(0).response.head(responseHead(200), true);
  return Object.fromEntries(spans[0]?.attributes ?? []);
}

describe("a layer that traces", () => {
  test("inbound 10: a sampled request becomes a span from its start to the head of its response", () => {
    const { clock, spans, service, layer } = traced();
    const head = requestHead("GET", "/cart?id=1", SAMPLED);
    const sink = new RecordingSink();
    layer.call(head, true, sink);
    assert.deepEqual(
      service.at(0).head.fields.map(({ value }) => value),
      [`00-${TRACE}-8000000080000000-01`],
    );
    clock.advance(25);
    assert.equal(spans.length, 0);
    service.at(0).response.head(responseHead(201), true);
    assert.equal(sink.response?.status, 201);
    const [span] = spans;
    assert.deepEqual(
      { ...span, attributes: undefined },
      {
        kind: "server",
        name: "/cart",
        traceId: TRACE,
        spanId: "8000000080000000",
        parentId: PARENT,
        startedAtMs: 1_000,
        endedAtMs: 1_025,
        attributes: undefined,
      },
    );
  });

  test("inbound 10: an unsampled request gets its new parent and leaves no span", () => {
    const { spans, service, layer } = traced("client");
    layer.call(
      requestHead("GET", "/", field("traceparent", `00-${TRACE}-${PARENT}-00`)),
      true,
      new RecordingSink(),
    );
    service.at(0).response.head(responseHead(200), true);
    assert.equal(service.at(0).head.fields[0]?.value, `00-${TRACE}-8000000080000000-00`);
    assert.deepEqual(spans, []);
  });

  test("inbound 10: a request without a context passes untouched, its sink too", () => {
    const { service, layer } = traced();
    const [head, sink] = [requestHead("GET", "/", field("a", "b")), new RecordingSink()];
    const before = [...head.fields];
    layer.call(head, true, sink);
    assert.deepEqual(service.at(0).head.fields, before);
    assert.equal(service.at(0).response, sink);
  });

  test("inbound 10: a request that gets no response head leaves no span", () => {
    const { spans, service, layer } = traced();
    const sink = new RecordingSink();
    layer.call(requestHead("GET", "/", SAMPLED), true, sink);
    service.at(0).response.reset(new ProxyError("upstream_closed", "gone"));
    assert.ok(sink.error !== undefined);
    assert.deepEqual(spans, []);
  });

  test("inbound 10: the span of a trace whose id is too long is passed on and not told", () => {
    const { spans, service, layer } = traced();
    layer.call(
      requestHead("GET", "/", field("traceparent", `00-ff${TRACE}-${PARENT}-01`)),
      true,
      new RecordingSink(),
    );
    service.at(0).response.head(responseHead(200), true);
    assert.match(service.at(0).head.fields[0]?.value ?? "", /-8000000080000000-01$/);
    assert.deepEqual(spans, []);
  });

  test("a span id is never the one that means none", () => {
    const { spans, service, layer } = traced("server", () => 0);
    layer.call(requestHead("GET", "/", SAMPLED), true, new RecordingSink());
    service.at(0).response.head(responseHead(200), true);
    assert.equal(spans[0]?.spanId, "0000000000000001");
  });
});

describe("what a span tells", () => {
  test("inbound 10: method, URL, host, and the headers that hold no secrets", () => {
    const head = requestHead(
      "POST",
      "/cart?id=1&x=?",
      field("host", "web.shop:8080"),
      field("user-agent", "test/1"),
      field("content-length", "3"),
      field("content-type", "text/plain"),
      field("l5d-orig-proto", "HTTP/1.1"),
      field("authorization", "secret"),
      field("cookie", "secret"),
    );
    head.authority = headerField(AUTHORITY, "web.shop:8080");
    assert.deepEqual(attributesOf(head), {
      direction: "inbound",
      "http.request.method": "POST",
      "url.scheme": "http",
      "url.path": "/cart",
      "url.query": "id=1&x=?",
      "url.full": "http://web.shop:8080/cart?id=1&x=?",
      "network.transport": "tcp",
      "server.address": "web.shop",
      "server.port": "8080",
      "user_agent.original": "test/1",
      "http.request.header.content-length": "3",
      "http.request.header.content-type": "text/plain",
      "http.request.header.l5d-orig-proto": "HTTP/1.1",
      "http.response.status_code": "200",
    });
  });

  test("inbound 10: no more than there is", () => {
    const head = requestHead("GET", "/");
    head.authority = undefined;
    head.scheme = undefined;
    assert.deepEqual(attributesOf(head), {
      direction: "inbound",
      "http.request.method": "GET",
      "url.path": "/",
      "url.full": "/",
      "network.transport": "tcp",
      "http.response.status_code": "200",
    });
  });

  test("inbound 10: credentials in a URL are replaced, however long they are", () => {
    for (const [given, told] of [
      ["user@web", "REDACTED@web"],
      ["user:secret@web:80", "REDACTED:REDACTED@web:80"],
      [`user:${"s".repeat(3_000)}@web`, "REDACTED:REDACTED@web"],
      ["a@user:secret@web", "REDACTED:REDACTED@web"],
    ] as const) {
      const head = requestHead("GET", "/", field("host", given));
      head.authority = headerField(AUTHORITY, given);
      const attributes = attributesOf(head);
      assert.equal(attributes["url.full"], `http://${told}/`);
      assert.equal(attributes["server.address"], undefined);
      assert.ok(!JSON.stringify(attributes).includes("secret"));
    }
  });

  test("inbound 10: the host that an earlier proxy forwarded is the server's, where it is one", () => {
    const server = (...fields: readonly (readonly [string, string])[]): (string | undefined)[] => {
      const attributes = attributesOf(requestHead("GET", "/", ...fields.map(([n, v]) => field(n, v))));
      return [attributes["server.address"], attributes["server.port"]];
    };
    assert.deepEqual(server(["host", "inner"], ["x-forwarded-host", "outer:443"]), ["outer", "443"]);
    assert.deepEqual(server(["host", "inner"], ["x-forwarded-host", "a, b"]), [undefined, undefined]);
    assert.deepEqual(server(["host", "[2001:db8::1]:80"]), ["[2001:db8::1]", "80"]);
    assert.deepEqual(server(["host", "[2001:db8::1]"]), ["[2001:db8::1]", undefined]);
    assert.deepEqual(server(["host", "web:"]), ["web", undefined]);
  });

  test("what strangers send is cut, and is text", () => {
    const agent = `caf\xc3\xa9 \xff${"x".repeat(5_000)}`;
    const attributes = attributesOf(
      requestHead("GET", `/${"p".repeat(5_000)}?q`, field("user-agent", agent)),
    );
    assert.equal(attributes["url.path"]?.length, SPAN_ATTRIBUTE_CHARS);
    assert.match(attributes["user_agent.original"] ?? "", /^café \ufffdx+$/);
    for (const value of Object.values(attributes)) assert.ok(value.length < 2 * SPAN_ATTRIBUTE_CHARS);
  });
});
