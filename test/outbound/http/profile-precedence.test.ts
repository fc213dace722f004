import assert from "node:assert/strict";
import { test } from "node:test";
import type { Discovered } from "../../../src/outbound/discover.ts";
import { TargetStack } from "../../../src/outbound/target-stack.ts";
import type { ClientPolicy, Profile } from "../../../src/policy/client-policy.ts";
import { synthesizeBalance } from "../../../src/policy/synthesize.ts";
import { WatchCell } from "../../../src/watch/watch.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { name, ScriptedControlPlane, scriptedContext, target } from "../scripted.ts";
import { EMPTY, route } from "./profile-setup.ts";
import { call } from "./scripted-backends.ts";

const POLICY = "policy.shop.svc.cluster.local";
const SPLIT = "canary.shop.svc.cluster.local";
const targets = [{ addr: name(`${SPLIT}:80`), weight: 1 }];

function stackOf(profile: Partial<Profile>) {
  const control = new ScriptedControlPlane();
  const watch = new WatchCell<Profile>({ ...EMPTY, ...profile });
  const policy = new WatchCell<ClientPolicy>(synthesizeBalance("profile", name(`${POLICY}:80`), 10_000));
  const discovered: Discovered = { policy, profile: watch };
  const stack = new TargetStack(
    target("web.shop.svc.cluster.local:80"),
    scriptedContext(new FakeClock(), control),
  );
  /** Names whose endpoints were asked for. */
  const asked = (): string[] => control.resolutions.map(({ path }) => path);
  return { stack, discovered, watch, asked };
}

test("outbound 5.1: HTTP follows a profile with targets, and names itself by it", () => {
  const { stack, discovered, asked } = stackOf({ targets });
  call(stack.http(1, discovered), "/");
  assert.deepEqual(asked(), [SPLIT]);
  assert.equal(stack.http1Authority, "web.shop.svc.cluster.local");
  stack.close();
});

test("outbound 5.1: HTTP follows the policy where the profile says nothing", () => {
  const { stack, discovered, asked } = stackOf({});
  call(stack.http(1, discovered), "/");
  assert.deepEqual(asked(), [POLICY]);
  assert.equal(stack.http1Authority, undefined);
  stack.close();
});

test("outbound 5.1: what was settled when a stack was built holds for its life", () => {
  const { stack, discovered, watch, asked } = stackOf({});
  call(stack.http(1, discovered), "/");
  watch.publish({ ...EMPTY, targets });
  call(stack.http(1, discovered), "/");
  assert.deepEqual(asked(), [POLICY]);
  call(stack.http(2, discovered), "/", { version: 20 });
  assert.deepEqual(asked(), [POLICY, SPLIT]);
  stack.close();
});

test("outbound 5.1: opaque connections follow the targets of a profile, and not its routes", () => {
  const split = stackOf({ targets });
  split.stack.opaque(split.discovered);
  assert.deepEqual(split.asked(), [SPLIT]);
  split.watch.publish({ ...EMPTY, targets: [{ addr: name("next.shop.svc.cluster.local:80"), weight: 1 }] });
  assert.deepEqual(split.asked(), [SPLIT, "next.shop.svc.cluster.local"]);
  split.stack.close();
  const routed = stackOf({ routes: [route("/a")] });
  routed.stack.opaque(routed.discovered);
  assert.deepEqual(routed.asked(), [POLICY]);
  routed.stack.close();
});
