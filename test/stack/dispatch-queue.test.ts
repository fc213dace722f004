import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DispatchQueue, type Dispatchable } from "../../src/stack/dispatch-queue.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** A queue in front of a service that takes `room` requests, and the log of what became of the requests. */
class Bench {
  readonly clock = new FakeClock(1000);
  readonly log: string[] = [];
  readonly waits: number[] = [];
  room = 0;
  readonly queue: DispatchQueue;

  constructor(capacity = 10) {
    this.queue = new DispatchQueue({
      capacity,
      failfastTimeoutMs: 3000,
      clock: this.clock,
      isReady: () => this.room > 0,
      observer: {
        onDispatch: (waitedMs) => this.waits.push(waitedMs),
        onGate: (isOpen) => this.log.push(isOpen ? "open" : "shut"),
      },
    });
  }

  request(name: string, onDispatch?: () => void): Dispatchable {
    return {
      dispatch: () => {
        this.room--;
        this.log.push(name);
        onDispatch?.();
      },
      refuse: (reason) => this.log.push(`${name} ${reason}`),
    };
  }

  submit(name: string): void {
    this.queue.submit(this.request(name));
  }

  /** What happened since the last call. */
  happened(): string[] {
    return this.log.splice(0);
  }
}

test("an outage from beginning to end", () => {
  const b = new Bench();
  b.room = 1;
  b.submit("good");
  assert.deepEqual(b.happened(), ["good"]);

  b.submit("first");
  b.clock.advance(2999);
  b.submit("second");
  assert.deepEqual(b.happened(), []);
  assert.ok(b.queue.isAvailable());

  b.clock.advance(1);
  assert.deepEqual(b.happened(), ["shut", "first failfast", "second failfast"]);
  assert.ok(!b.queue.isAvailable());

  b.submit("late");
  assert.deepEqual(b.happened(), ["late loadshed"]);
  b.clock.advance(60_000);
  assert.deepEqual(b.happened(), []);

  b.room = 5;
  b.queue.onReady();
  assert.deepEqual(b.happened(), ["open"]);
  assert.ok(b.queue.isAvailable());
  b.submit("again");
  assert.deepEqual(b.happened(), ["again"]);
  assert.equal(b.clock.timers, 0);
});

test("a service that becomes ready in time serves who waits, in order, and stops the timer", () => {
  const b = new Bench();
  b.submit("a");
  b.clock.advance(1000);
  b.submit("b");
  b.clock.advance(1000);
  b.room = 2;
  b.queue.onReady();
  assert.deepEqual(b.happened(), ["a", "b"]);
  assert.deepEqual(b.waits, [2000, 1000]);
  b.clock.advance(10_000);
  assert.deepEqual(b.happened(), []);
});

test("whoever remains waiting after others were served waits for the whole timeout anew", () => {
  const b = new Bench();
  b.submit("a");
  b.submit("b");
  b.clock.advance(2000);
  b.room = 1;
  b.queue.onReady();
  assert.deepEqual(b.happened(), ["a"]);
  b.clock.advance(2999);
  assert.deepEqual(b.happened(), []);
  b.clock.advance(1);
  assert.deepEqual(b.happened(), ["shut", "b failfast"]);
});

test("a full queue refuses at once and is not available", () => {
  const b = new Bench(2);
  b.submit("a");
  assert.ok(b.queue.isAvailable());
  b.submit("b");
  assert.ok(!b.queue.isAvailable());
  b.submit("c");
  assert.deepEqual(b.happened(), ["c loadshed"]);
  assert.equal(b.queue.length, 2);
});

test("whoever gives up frees the place and is told nothing, but the timer runs on", () => {
  const b = new Bench(1);
  const place = b.queue.submit(b.request("a"));
  place?.cancel();
  place?.cancel();
  assert.equal(b.queue.length, 0);
  b.clock.advance(2000);
  b.submit("b");
  b.clock.advance(1000);
  assert.deepEqual(b.happened(), ["shut", "b failfast"]);
});

test("an idle service that is not ready never fails fast", () => {
  const b = new Bench();
  b.queue.onReady();
  b.clock.advance(100_000);
  assert.ok(b.queue.isAvailable());
  assert.deepEqual(b.happened(), []);
});

test("a newcomer does not overtake those who wait", () => {
  const b = new Bench();
  b.submit("a");
  b.room = 2;
  b.submit("b");
  assert.deepEqual(b.happened(), ["a", "b"]);
});

test("readiness that was not announced ends failfast with the next request", () => {
  const b = new Bench();
  b.submit("a");
  b.clock.advance(3000);
  b.room = 1;
  b.submit("b");
  assert.deepEqual(b.happened(), ["shut", "a failfast", "open", "b"]);
});

test("requests made while others are dispatched come after them", () => {
  const b = new Bench();
  b.queue.submit(b.request("a", () => b.submit("a's child")));
  b.submit("b");
  b.room = 5;
  b.queue.onReady();
  assert.deepEqual(b.happened(), ["a", "b", "a's child"]);
});

test("a dispatch that makes the service ready again does not recurse", () => {
  const b = new Bench(20_000);
  const again = (): void => {
    b.room = 1;
    b.queue.onReady();
  };
  for (let i = 0; i < 20_000; i++) b.queue.submit(b.request(String(i), again));
  again();
  assert.equal(b.queue.length, 0);
  assert.deepEqual(b.happened().slice(-2), ["19998", "19999"]);
});

test("a request that is refused and tried again at once is refused again, not queued", () => {
  const b = new Bench();
  b.queue.submit({
    dispatch: () => assert.fail("there was no room"),
    refuse: () => b.submit("retry"),
  });
  b.clock.advance(3000);
  assert.deepEqual(b.happened(), ["shut", "retry loadshed"]);
});

describe("closing", () => {
  test("refuses who waits and who comes, and stops the timer", () => {
    const b = new Bench();
    b.submit("a");
    b.queue.close();
    b.queue.close();
    b.room = 1;
    b.submit("b");
    b.queue.onReady();
    assert.deepEqual(b.happened(), ["a closed", "b closed"]);
    assert.ok(!b.queue.isAvailable());
    assert.equal(b.clock.timers, 0);
  });
});

test("counts what metrics tell", () => {
  const b = new Bench(1);
  assert.deepEqual(b.queue.stats, {
    openTotal: 1,
    shutTotal: 0,
    openedAtMs: 1000,
    shutAtMs: undefined,
    length: 0,
    acceptedTotal: 0,
  });
  b.submit("a");
  b.submit("shed");
  assert.equal(b.queue.stats.length, 1);
  b.clock.advance(3000);
  const shut = b.queue.stats;
  assert.deepEqual(
    [shut.shutTotal, shut.openedAtMs, shut.shutAtMs, shut.acceptedTotal],
    [1, undefined, 4000, 1],
  );
  b.clock.advance(500);
  b.room = 1;
  b.queue.onReady();
  b.submit("b");
  const open = b.queue.stats;
  assert.deepEqual(
    [open.openTotal, open.openedAtMs, open.shutAtMs, open.acceptedTotal],
    [2, 4500, undefined, 2],
  );
  assert.deepEqual(b.waits, [0]);
});
