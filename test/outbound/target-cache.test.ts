import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { TargetCache } from "../../src/outbound/context.ts";
import { synthesizeBalance } from "../../src/policy/synthesize.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { textOf } from "../support/recording-app.ts";
import {
  RequestHead,
  SCHEME_HTTP,
  METHOD,
  PATH,
  AUTHORITY,
  type ResponseHead,
} from "../../src/http/message.ts";
import { headerField } from "../../src/wire/header-field.ts";
import { name, ScriptedControlPlane, scriptedContext, target } from "./scripted.ts";

const WEB = target("web.shop.svc.cluster.local:80");
const IDLE_MS = 5_000;

function cacheOf(): { clock: FakeClock; control: ScriptedControlPlane; cache: TargetCache } {
  const clock = new FakeClock();
  const control = new ScriptedControlPlane();
  return { clock, control, cache: new TargetCache(scriptedContext(clock, control), IDLE_MS) };
}

const found = {
  kind: "found",
  watch: new WatchCell(synthesizeBalance("profile", name("web.shop.svc.cluster.local:80"), 10_000)),
} as const;

test("connections share the lookup of their target, which ends when nobody has used it for the idle time", () => {
  const { clock, control, cache } = cacheOf();
  const [one, two] = [cache.acquire(WEB), cache.acquire(WEB)];
  assert.equal(one.value, two.value);
  assert.equal(control.lookups.length, 1);
  one.release();
  clock.advance(IDLE_MS);
  assert.equal(control.lookups[0]?.signal.aborted, false);
  two.release();
  clock.advance(IDLE_MS - 1);
  assert.equal(control.lookups[0]?.signal.aborted, false);
  clock.advance(1);
  assert.equal(control.lookups[0]?.signal.aborted, true);
  assert.equal(clock.timers, 0);
});

test("everything below a target ends with it", async () => {
  const { clock, control, cache } = cacheOf();
  const held = cache.acquire(WEB);
  control.lookups[0]?.answer(found);
  const discovered = await held.value.discovered;
  const ended: string[] = [];
  const head = new RequestHead(
    11,
    headerField(METHOD, "GET"),
    SCHEME_HTTP,
    headerField(AUTHORITY, "web"),
    headerField(PATH, "/"),
    [],
    clock.nowMs(),
  );
  held.value.http(1, discovered).call(head, true, {
    head: (response: ResponseHead) => ended.push(`${response.status} ${textOf(response.fields).join()}`),
    data: () => {},
    trailers: () => {},
    reset: (error) => ended.push(error.code),
    credit: () => {},
  });
  assert.equal(control.resolutions.length, 1);
  assert.deepEqual(ended, []);
  held.release();
  clock.advance(2_999);
  assert.deepEqual(ended, []);
  clock.advance(1);
  assert.deepEqual(ended, ["failfast"]);
  clock.advance(IDLE_MS);
  assert.equal(control.resolutions[0]?.signal.aborted, true);
  assert.equal(clock.timers, 0);
});

test("a target that could not be found is looked up again by the next who asks", async () => {
  const { control, cache } = cacheOf();
  const first = cache.acquire(WEB);
  control.lookups[0]?.answer({ kind: "failed", error: new ProxyError("invalid_policy", "nonsense") });
  await assert.rejects(first.value.discovered, /nonsense/);
  const second = cache.acquire(WEB);
  assert.notEqual(second.value, first.value);
  assert.equal(control.lookups.length, 2);
  first.release();
  second.release();
});

test("a name without policy and profile is unknown, and the error says so", async () => {
  const { control, cache } = cacheOf();
  const held = cache.acquire(target("nobody.example.com:80"));
  control.lookups[0]?.answer({ kind: "not_found" });
  await assert.rejects(held.value.discovered, (error) => {
    assert.ok(error instanceof ProxyError);
    assert.equal(error.code, "fail_dispatcher");
    assert.match(error.message, /^nobody\.example\.com:80: .*does not know this name$/);
    return true;
  });
});
