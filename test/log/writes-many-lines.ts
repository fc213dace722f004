/** A process that writes more lines to its stderr than anybody reads, and reports on stdout how that went. */
import { LineWriter } from "../../src/log/line-writer.ts";
import { systemClock } from "../../src/time/clock.ts";

const TURNS = 60;
let dropped = 0;
let longestTurnMs = 0;
let lastMs = performance.now();
let turns = 0;
const writer = new LineWriter(process.stderr, {
  clock: systemClock,
  onDropped: (lines) => (dropped += lines),
  onLoss: () => {},
});

const timer = setInterval(() => {
  const nowMs = performance.now();
  longestTurnMs = Math.max(longestTurnMs, nowMs - lastMs);
  lastMs = nowMs;
  for (let i = 0; i < 200; i++) writer.write(`${"x".repeat(499)}\n`);
  if (++turns < TURNS) return;
  clearInterval(timer);
  const report = JSON.stringify({ dropped, longestTurnMs, waiting: process.stderr.writableLength });
  process.stdout.write(report, () => process.exit(0));
}, 5);
