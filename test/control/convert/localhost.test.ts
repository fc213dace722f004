import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { serverPolicyFromProto } from "../../../src/control/convert/server-policy.ts";
import { ServerSchema } from "../../../src/proto/gen/inbound_pb.js";

const NOBODY = create(ServerSchema, {
  labels: { group: "", kind: "default", name: "deny" },
  protocol: { kind: { case: "opaque", value: {} } },
  authorizations: [],
});

test("the pod itself is let in where the control plane lets in nobody", () => {
  const policy = serverPolicyFromProto(NOBODY);
  assert.ok(policy.ok);
  assert.equal(policy.value.authorizations.length, 1);
});

test("nobody is let in for being on this host where peers live here too", () => {
  const policy = serverPolicyFromProto(NOBODY, "peers");
  assert.ok(policy.ok);
  assert.deepEqual(policy.value.authorizations, []);
});
