import assert from "node:assert/strict";
import { test } from "node:test";
import { CountedExchange, EndpointMetrics } from "../../src/http/endpoint-metrics.ts";
import { createFamilies } from "../../src/metrics/families.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import { parsePage, scrape } from "../metrics/page.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { field, RecordingSink, requestHead, responseHead, ScriptedService } from "../support/h2-exchange.ts";

const GRPC = field("content-type", "application/grpc");

/** `classification` and `grpc_status` of one gRPC response with that status, in its head or in its trailers. */
async function counted(text: string | undefined, where: "head" | "trailers"): Promise<string> {
  const clock = new FakeClock();
  const registry = new MetricRegistry(clock, 600_000);
  const metrics = new EndpointMetrics(createFamilies(registry), [["direction", "outbound"]], () =>
    clock.nowMs(),
  );
  const service = new ScriptedService();
  const head = requestHead("POST", "/shop.Cart/Pay", GRPC);
  new CountedExchange(metrics, head, new RecordingSink()).start(service, head, true);
  const { response } = service.at(0);
  const fields = text === undefined ? [] : [field("grpc-status", text)];
  response.head(responseHead(200, GRPC, ...(where === "head" ? fields : [])), where === "head");
  if (where === "trailers") response.trailers(fields);
  const found = parsePage(await scrape(registry)).samples.filter(({ name }) => name === "response_total");
  assert.equal(found.length, 1);
  const labels = found[0]?.labels;
  return `${labels?.get("classification")} ${labels?.get("grpc_status")}`;
}

test("config-admin-metrics 7.5: a gRPC status that nobody knows counts as UNKNOWN, which is a failure", async () => {
  const expected = [
    ["0", "success 0"],
    ["5", "success 5"],
    ["7", "failure 7"],
    ["14", "failure 14"],
    ["99", "failure 2"],
    ["", "failure 2"],
    ["-1", "failure 2"],
    ["unavailable", "failure 2"],
    // Nobody can tell such an end from a client that left early.
    [undefined, "success 2"],
  ] as const;
  for (const [text, outcome] of expected) {
    for (const where of ["head", "trailers"] as const) {
      assert.equal(await counted(text, where), outcome, `${text} in the ${where}`);
    }
  }
});
