import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ProxyError, type ErrorCode } from "../../src/errors/proxy-error.ts";
import { EndpointMetrics } from "../../src/http/endpoint-metrics.ts";
import { ApplicationService, CountDispatched } from "../../src/inbound/application-service.ts";
import { InboundRequestMetrics } from "../../src/inbound/request-metrics.ts";
import { createFamilies } from "../../src/metrics/families.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import { metaDefault } from "../../src/policy/meta.ts";
import { ConcurrencyLimit } from "../../src/stack/concurrency-limit.ts";
import { parsePage, scrape, type Page } from "../metrics/page.ts";
import { sum } from "../socket/pair.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { field, RecordingSink, requestHead, responseHead, ScriptedService } from "../support/h2-exchange.ts";

const GRPC = field("content-type", "application/grpc");
const ROUTE = {
  parent_group: "",
  parent_kind: "default",
  parent_name: "all-unauthenticated",
  parent_port: "8080",
  route_group: "",
  route_kind: "default",
  route_name: "default",
};

function setUp(isGrpc = false) {
  const clock = new FakeClock();
  const registry = new MetricRegistry(clock, 600_000);
  const families = createFamilies(registry);
  const metrics = new EndpointMetrics(families, [["direction", "inbound"]], () => clock.nowMs());
  const server = { meta: metaDefault("all-unauthenticated"), port: 8080 };
  const requests = new InboundRequestMetrics(families, server, metaDefault("default"), isGrpc);
  const app = new ScriptedService();
  const service = new ApplicationService(
    metrics,
    requests,
    new ConcurrencyLimit(10),
    new CountDispatched(metrics, app),
  );
  const page = async (): Promise<Page> => parsePage(await scrape(registry));
  return { service, app, clock, page };
}

const bytes = (length: number): Buffer => Buffer.alloc(length);

describe("metrics of permitted requests", () => {
  test("inbound 7.6: requests, durations, frames and statuses of a route, under its server", async () => {
    const { service, app, clock, page } = setUp();
    const sink = new RecordingSink();
    const request = service.call(requestHead("POST", "/"), false, sink);
    clock.advance(100);
    request.data(bytes(2_000), 0, 2_000, false);
    request.data(bytes(100), 0, 100, true);
    clock.advance(400);
    const { response } = app.at(0);
    response.head(responseHead(201), false);
    clock.advance(200);
    response.data(bytes(20_000), 0, 20_000, false);
    response.data(bytes(0), 0, 0, true);
    const now = await page();
    const of = (name: string, labels = {}): number =>
      sum(now, `inbound_http_${name}`, { ...ROUTE, ...labels });
    assert.equal(of("requests_total"), 1);
    assert.equal(of("statuses_total", { status: "201" }), 1);
    assert.deepEqual([of("request_duration_seconds_count"), of("request_duration_seconds_sum")], [1, 0.7]);
    assert.deepEqual([of("response_duration_seconds_count"), of("response_duration_seconds_sum")], [1, 0.6]);
    assert.deepEqual([of("request_frame_size_bytes_count"), of("request_frame_size_bytes_sum")], [2, 2_100]);
    assert.deepEqual(
      [of("response_frame_size_bytes_count"), of("response_frame_size_bytes_sum")],
      [1, 20_000],
    );
    assert.equal(of("request_frame_size_bytes_bucket", { le: "128.0" }), 1);
    assert.equal(sum(now, "inbound_grpc_requests_total"), 0);
  });

  test("inbound 7.6: where the policy's route is one of gRPC, the code counts, and trailers have the last word", async () => {
    const { service, app, page } = setUp(true);
    for (const [head, trailers] of [
      ["0", undefined],
      ["0", "13"],
      [undefined, "5"],
      [undefined, undefined],
    ] as const) {
      service.call(requestHead("POST", "/shop.Cart/Pay", GRPC), true, new RecordingSink());
      const { response } = app.at(app.requests.length - 1);
      response.head(
        responseHead(200, GRPC, ...(head === undefined ? [] : [field("grpc-status", head)])),
        false,
      );
      if (trailers === undefined) response.data(bytes(0), 0, 0, true);
      else response.trailers([field("grpc-status", trailers)]);
    }
    const now = await page();
    const statuses = now.samples.filter(({ name }) => name === "inbound_grpc_statuses_total");
    assert.deepEqual(
      statuses.map(({ labels, value }) => [labels.get("status"), value]),
      [
        ["0", 1],
        ["13", 1],
        ["5", 1],
        ["", 1],
      ],
    );
    assert.equal(sum(now, "inbound_http_requests_total"), 0);
  });

  test("inbound 7.5: an application that cannot be reached is counted as what its client gets", async () => {
    for (const [code, http, grpc] of [
      ["io", "502", "14"],
      ["upstream_closed", "502", "14"],
      ["bad_message", "502", "14"],
      ["connect_timeout", "504", "4"],
    ] as const) {
      const { service, app, page } = setUp();
      for (const fields of [[], [GRPC]]) {
        service.call(requestHead("POST", "/", ...fields), true, new RecordingSink());
        app.at(app.requests.length - 1).response.reset(new ProxyError(code, "down"));
      }
      const now = await page();
      const count = (labels: Record<string, string>): number =>
        sum(now, "response_total", { classification: "failure", error: "", ...labels });
      assert.equal(count({ status_code: http, grpc_status: "" }), 1, code);
      assert.equal(count({ status_code: "200", grpc_status: grpc }), 1, code);
      assert.equal(sum(now, "response_latency_ms_count", { status_code: http }), 1);
      assert.equal(sum(now, "inbound_http_statuses_total", { status: http }), 1);
    }
  });

  test("inbound 7.4: what the queue refuses was never sent: its status is empty, and it is no response", async () => {
    for (const code of ["failfast", "loadshed", "pool_failed"] satisfies ErrorCode[]) {
      const { clock, page } = setUp();
      const registry = new MetricRegistry(clock, 600_000);
      const families = createFamilies(registry);
      const metrics = new EndpointMetrics(families, [["direction", "inbound"]], () => clock.nowMs());
      const server = { meta: metaDefault("all-unauthenticated"), port: 8080 };
      const requests = new InboundRequestMetrics(families, server, metaDefault("default"), false);
      const queue = new ScriptedService();
      const service = new ApplicationService(metrics, requests, new ConcurrencyLimit(10), queue);
      service.call(requestHead("GET", "/"), true, new RecordingSink());
      queue.at(0).response.reset(new ProxyError(code, "the application is down"));
      const now = parsePage(await scrape(registry));
      assert.equal(sum(now, "inbound_http_statuses_total", { status: "" }), 1);
      assert.equal(sum(now, "request_total") + sum(now, "response_total"), 0);
      assert.equal(sum(await page(), "request_total"), 0);
    }
  });

  test("a client that leaves before there is a response leaves nothing; later, what came so far", async () => {
    const { service, app, clock, page } = setUp();
    const leave = new ProxyError("canceled", "left");
    service.call(requestHead("GET", "/"), true, new RecordingSink()).reset(leave);
    assert.equal(sum(await page(), "inbound_http_statuses_total"), 0);
    const request = service.call(requestHead("POST", "/"), false, new RecordingSink());
    app.at(1).response.head(responseHead(200), false);
    clock.advance(50);
    request.reset(leave);
    const now = await page();
    assert.equal(sum(now, "inbound_http_statuses_total", { status: "200" }), 1);
    assert.equal(sum(now, "inbound_http_request_duration_seconds_sum"), 0.05);
    // Its request never ended.
    assert.equal(sum(now, "inbound_http_response_duration_seconds_sum"), 0);
    assert.equal(sum(now, "inbound_http_response_duration_seconds_count"), 1);
  });

  test("a response that breaks off keeps its status", async () => {
    const { service, app, page } = setUp();
    service.call(requestHead("GET", "/"), true, new RecordingSink());
    const { response } = app.at(0);
    response.head(responseHead(200), false);
    response.reset(new ProxyError("io", "gone"));
    const now = await page();
    assert.equal(sum(now, "inbound_http_statuses_total", { status: "200" }), 1);
    assert.equal(sum(now, "response_total", { status_code: "200", error: "unclassified" }), 1);
  });
});
