import assert from "node:assert/strict";
import { test } from "node:test";
import { createFamilies } from "../../src/metrics/families.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import { TransferCosts, zoneLocality } from "../../src/outbound/transfer-cost.ts";
import { scrape } from "../metrics/page.ts";
import { FakeClock } from "../support/fake-clock.ts";

test("config-admin-metrics 7.4: a zone is local or remote as discovery says in whatever case, else unknown", () => {
  const told = (value: string) => zoneLocality([["zone_locality", value]]);
  assert.deepEqual(["local", "LOCAL", "Remote", "remote"].map(told), ["Local", "Local", "Remote", "Remote"]);
  assert.deepEqual(
    [told("near"), zoneLocality([]), zoneLocality([["zone", "local"]])],
    Array(3).fill("Unknown"),
  );
});

test("config-admin-metrics 7.4: bytes are counted by direction and locality, for all connections together", async () => {
  const registry = new MetricRegistry(new FakeClock(), 600_000);
  const costs = new TransferCosts(createFamilies(registry));
  for (let i = 0; i < 2; i++) {
    const { read, written } = costs.countersFor([["zone_locality", "remote"]]);
    read.value += 5;
    written.value += 7;
  }
  const lines = (await scrape(registry))
    .split("\n")
    .filter((line) => line.startsWith("outbound_tcp_transfer"));
  assert.deepEqual(lines, [
    'outbound_tcp_transfer_cost_bytes_total{op="Recv",zone_locality="Remote"} 10',
    'outbound_tcp_transfer_cost_bytes_total{op="Send",zone_locality="Remote"} 14',
  ]);
});
