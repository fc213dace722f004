import assert from "node:assert/strict";
import { test } from "node:test";
import { LINES_AT_ONCE, LINES_PER_SECOND, limitLog } from "../../src/log/limit-log.ts";
import { NO_LOG, type Log, type LogFields } from "../../src/log/log.ts";
import { FakeClock } from "../support/fake-clock.ts";

interface Line {
  readonly message: string;
  readonly fields: LogFields | undefined;
}

function setUp(unlimited: readonly string[] = []) {
  const lines: Line[] = [];
  const write = (message: string, fields?: LogFields): void => void lines.push({ message, fields });
  const inner: Log = {
    ...NO_LOG,
    info: write,
    warn: write,
    debug: write,
    target: () => inner,
    span: () => inner,
  };
  const clock = new FakeClock();
  return { lines, clock, log: limitLog(inner, clock, new Set(unlimited)) };
}

test("of one message so many lines are written at once, and the next one tells how many were not", () => {
  const { lines, clock, log } = setUp();
  for (let i = 0; i < LINES_AT_ONCE + 30; i++) log.info("Connection closed", { i });
  assert.equal(lines.length, LINES_AT_ONCE);
  clock.advance(1000);
  for (let i = 0; i < 2 * LINES_PER_SECOND; i++) log.info("Connection closed", { late: true });
  assert.equal(lines.length, LINES_AT_ONCE + LINES_PER_SECOND);
  assert.deepEqual(lines[LINES_AT_ONCE]?.fields, { late: true, suppressed: 30 });
  assert.deepEqual(lines.at(-1)?.fields, { late: true });
});

test("messages do not take each other's lines, but those of one message count in every span and target", () => {
  const { lines, log } = setUp();
  const other = log.target("linkerd_app_admin").span("admin");
  for (let i = 0; i < LINES_AT_ONCE; i++) log.info("Request denied");
  other.info("Request denied");
  other.warn("Request failed");
  assert.equal(lines.length, LINES_AT_ONCE + 1);
  assert.equal(lines.at(-1)?.message, "Request failed");
});

test("what each line is wanted of, and what only those see who look closely, is not limited", () => {
  const { lines, log } = setUp(["Request allowed"]);
  for (let i = 0; i < LINES_AT_ONCE + 1; i++) {
    log.info("Request allowed");
    log.debug("Refused a message");
  }
  assert.equal(lines.length, 2 * (LINES_AT_ONCE + 1));
});
