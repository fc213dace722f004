import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Cluster } from "../../src/control-plane/index/cluster.ts";
import { findEndpoints } from "../../src/control-plane/index/destination.ts";
import { DEFAULT_SETTINGS } from "../../src/control-plane/index/settings.ts";
import { readFolder, readResources } from "../../src/control-plane/resources/read-folder.ts";
import { outboundTo } from "./outbound.ts";
import { valueOf } from "./support.ts";

const TWO_SERVICES = fileURLToPath(new URL("../../examples/two-services/", import.meta.url));
const EGRESS = fileURLToPath(new URL("../../examples/egress/", import.meta.url));

test("the example of two services loads without problem or warning, and both have an endpoint", async () => {
  const state = readResources(await readFolder(TWO_SERVICES), TWO_SERVICES);
  assert.deepEqual(state.ok ? [] : state.problems, []);
  assert.deepEqual(state.warnings, []);
  assert.ok(state.ok);
  const cluster = new Cluster(state.resources, DEFAULT_SETTINGS);
  for (const name of ["web", "stock"]) {
    const { endpoints } = valueOf(findEndpoints(cluster, `${name}.shop.svc.cluster.local:80`, ""));
    assert.equal(endpoints.size, 1, name);
  }
});

test("the example of egress loads without problem or warning, and its routes speak for their ports", async () => {
  const state = readResources(await readFolder(EGRESS), EGRESS);
  assert.deepEqual(state.ok ? [] : state.problems, []);
  assert.deepEqual(state.warnings, []);
  assert.ok(state.ok);
  const cluster = new Cluster(state.resources, DEFAULT_SETTINGS);
  const kindAt = (port: number): string | undefined =>
    valueOf(outboundTo(cluster, `203.0.113.80:${port}`)).protocol?.kind.case;
  assert.deepEqual([kindAt(443), kindAt(80), kindAt(25)], ["tls", "detect", "opaque"]);
});
