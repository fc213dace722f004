import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import { serverPolicyFromProto } from "../../src/control/convert/server-policy.ts";
import { Cluster } from "../../src/control-plane/index/cluster.ts";
import { findInboundPolicy } from "../../src/control-plane/index/inbound-policy.ts";
import { DEFAULT_SETTINGS } from "../../src/control-plane/index/settings.ts";
import { readFolder, readResources } from "../../src/control-plane/resources/read-folder.ts";
import { parseId } from "../../src/identity/id.ts";
import { authorize, type ClientView } from "../../src/policy/authorize.ts";
import { httpRouteTable } from "../../src/policy/find-route.ts";
import { RateLimiter } from "../../src/policy/rate-limit.ts";
import type { ServerPolicy } from "../../src/policy/server-policy.ts";
import { PortSpecSchema } from "../../src/proto/gen/inbound_pb.js";
import { ip, request } from "../policy/requests.ts";
import { valueOf, workloadString } from "./support.ts";

const FOLDER = fileURLToPath(new URL("../../examples/locked-down/", import.meta.url));
const ADMIN_PORT = 4191;

async function policyOf(port: number): Promise<ServerPolicy> {
  const state = readResources(await readFolder(FOLDER), FOLDER);
  assert.deepEqual(state.ok ? [] : state.problems, []);
  assert.deepEqual(state.warnings, []);
  assert.ok(state.ok);
  const cluster = new Cluster(state.resources, DEFAULT_SETTINGS);
  const spec = create(PortSpecSchema, { workload: workloadString("shop", "orders"), port });
  const policy = serverPolicyFromProto(valueOf(findInboundPolicy(cluster, spec)));
  return policy.ok ? policy.value : assert.fail(policy.problem);
}

function client(address: string, account?: string): ClientView {
  if (account === undefined) return { ip: ip(address), tls: { kind: "none" } };
  const id = parseId(`${account}.serviceaccount.identity.linkerd.cluster.local`);
  return { ip: ip(address), tls: { kind: "established", clientId: id.ok ? id.value : undefined } };
}

describe("the example of a locked-down service", () => {
  it("lets in whom its routes name, for what they name, and answers 404 to all else", async () => {
    const { protocol } = await policyOf(38080);
    assert.ok(protocol.kind === "http1");
    const table = httpRouteTable(protocol.routes);
    const status = (method: string, path: string, who: ClientView): number => {
      const found = table.find(request({ method, path, authority: "orders" }));
      if (found === undefined) return 404;
      return authorize(found.route.authorizations, who) === undefined ? 403 : 200;
    };
    const web = client("10.0.0.1", "web.shop");
    const reports = client("10.0.0.2", "reports.shop");
    const impostor = client("10.0.0.3", "web.other");
    const balancer = client("192.0.2.7");
    const statuses = [web, reports, impostor, balancer, client("192.0.2.129")].map((who) =>
      [
        ["GET", "/orders/7"],
        ["POST", "/orders"],
        ["GET", "/healthz"],
        ["DELETE", "/orders/7"],
        ["GET", "/admin"],
      ].map(([method = "", path = ""]) => status(method, path, who)),
    );
    assert.deepEqual(statuses, [
      [200, 200, 403, 404, 404],
      [200, 403, 403, 404, 404],
      [403, 403, 403, 404, 404],
      [403, 403, 200, 404, 404],
      [403, 403, 403, 404, 404],
    ]);
  });

  it("limits everybody together, each client, and one client more than the others", async () => {
    const { protocol } = await policyOf(38080);
    assert.ok(protocol.kind === "http1" && protocol.rateLimit !== undefined);
    const limiter = new RateLimiter(protocol.rateLimit);
    const passed = (account: string | undefined): number => {
      const id = account && `${account}.serviceaccount.identity.linkerd.cluster.local`;
      return Array.from({ length: 250 }, () => limiter.check(id, 0)).filter((r) => r === undefined).length;
    };
    // 250 of each count against the total of 500, also those that are refused for other reasons.
    assert.deepEqual([passed("reports.shop"), passed("web.shop"), passed(undefined)], [10, 200, 0]);
  });

  it("lets nobody in at any other port but the workload itself", async () => {
    const policy = await policyOf(ADMIN_PORT);
    assert.equal(authorize(policy.authorizations, client("10.0.0.1", "web.shop")), undefined);
    assert.equal(authorize(policy.authorizations, client("192.0.2.7")), undefined);
    assert.notEqual(authorize(policy.authorizations, client("127.0.0.1")), undefined);
  });
});
