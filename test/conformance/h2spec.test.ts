import assert from "node:assert/strict";
import { test } from "node:test";
import { findProgram, readReport } from "./h2spec.ts";
import { readOutput } from "./h2specd.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="6.1. DATA" package="http2/6.1" id="6.1" tests="3" skipped="1" failures="0" errors="1">
    <testcase package="http2/6.1" classname="Sends &#34;a&#34; frame" time="0.0012"></testcase>
    <testcase package="http2/6.1" classname="Sends two" time="0.0002">
      <skipped></skipped>
    </testcase>
    <testcase package="http2/6.1" classname="Sends three" time="2.0017">
      <error>GOAWAY Frame (Error Code: STREAM_CLOSED)
Connection closed
Timeout</error>
    </testcase>
  </testsuite>
</testsuites>`;

test("reads which cases passed, were skipped, and failed with what", () => {
  assert.deepEqual(readReport(REPORT), {
    passed: 1,
    skipped: ["http2/6.1: Sends two"],
    failed: [
      "http2/6.1: Sends three: expected GOAWAY Frame (Error Code: STREAM_CLOSED) or Connection closed, got Timeout",
    ],
  });
});

test("does not take a report for good that has lost a case", () => {
  assert.throws(() => readReport(REPORT.replace('tests="3"', 'tests="4"')), /tells of 4 cases and has 3/);
});

const OUTPUT = [
  "Generic tests for HTTP/2 client",
  "  5. Streams and Multiplexing",
  "    5.1. Stream States",
  "      ✔ 7: idle: Sends a DATA frame",
  "      × 8: closed: Sends a DATA frame",
  "Failures: ",
  "",
  "Generic tests for HTTP/2 client",
  "  5. Streams and Multiplexing",
  "    5.1. Stream States",
  "      × 8: closed: Sends a DATA frame",
  "        -> The endpoint MUST treat this as a connection error of type STREAM_CLOSED.",
  "           Expected: GOAWAY Frame (Error Code: STREAM_CLOSED)",
];

test("reads the failures of h2specd with their sections", () => {
  assert.deepEqual(readOutput([...OUTPUT, "2 tests, 1 passed, 0 skipped, 1 failed"]), {
    passed: 1,
    skipped: [],
    failed: ["5.1. Stream States: closed: Sends a DATA frame"],
  });
  assert.deepEqual(readOutput(["2 tests, 2 passed, 0 skipped, 0 failed"]).failed, []);
});

test("does not take h2specd for done without its summary, nor with failures that it does not name", () => {
  assert.throws(() => readOutput(OUTPUT), /came to no end/);
  assert.throws(
    () => readOutput([...OUTPUT, "3 tests, 1 passed, 0 skipped, 2 failed"]),
    /names 1 of 2 failures/,
  );
});

test("finds a program by its variable before the path, and none that cannot be executed", () => {
  assert.equal(findProgram("node", "NODE_FILE", { NODE_FILE: process.execPath }), process.execPath);
  assert.equal(
    findProgram("node", "NODE_FILE", { NODE_FILE: "/does/not/exist", PATH: process.env["PATH"] }),
    undefined,
  );
  assert.equal(findProgram("no-such-program", "NODE_FILE", { PATH: process.env["PATH"] }), undefined);
});
