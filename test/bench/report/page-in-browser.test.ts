import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { goalsOf } from "../../../bench/report/goals.ts";
import { pageOf } from "../../../bench/report/page.ts";
import { findChromium, openPage, type Page } from "./chromium.ts";
import { madeUpReport } from "./made-up-report.ts";

/** A browser on a busy machine takes its time. */
const TIMEOUT_MS = 60_000;

const PLOTS = [
  "overview",
  "scenario-pair-http2-latency",
  "scenario-pair-http2-cpuMicros",
  "scenario-pair-http2-memory",
  "scenario-pair-http2-steady-latency",
  "scenario-pair-download-mibPerSecond",
  "scenario-start-readyMs",
  "scenario-soak-memory",
  "scenario-idle-10000-memory",
];

/** What the browser made of a plot. */
interface Drawn {
  readonly width: number;
  readonly height: number;
  /** Of every line, bar and mark: the corners of its box, in pixels. */
  readonly shapes: readonly (readonly number[])[];
  /** Texts that the plot's own frame cuts off. */
  readonly outside: readonly string[];
}

/** Runs in the page. */
const LOOK = `id => {
  const svg = document.getElementById(id);
  const frame = svg.getBoundingClientRect();
  const panel = svg.parentElement.getBoundingClientRect();
  const shapes = [...svg.querySelectorAll(".line, .bar, .mark path")].map((shape) => {
    const { left, top, right, bottom } = shape.getBoundingClientRect();
    return [left - frame.left, top - frame.top, right - frame.left, bottom - frame.top];
  });
  const outside = [...svg.querySelectorAll("text")].filter((text) => {
    const { left, right } = text.getBoundingClientRect();
    return left < panel.left || right > panel.right;
  }).map((text) => text.textContent);
  return { width: frame.width, height: frame.height, shapes, outside };
}`;

async function evaluate(page: Page, expression: string): Promise<unknown> {
  const reply = await page.call("Runtime.evaluate", { expression, returnByValue: true });
  assert.equal(reply["exceptionDetails"], undefined, JSON.stringify(reply));
  // The protocol's own form of a value.
  return (reply["result"] as { readonly value?: unknown }).value;
}

const OPTIONS = { timeout: TIMEOUT_MS };

test(
  "the page opens from disk in a browser, asks for nothing else and draws what it has",
  OPTIONS,
  async (t) => {
    const program = findChromium();
    if (program === undefined) return t.skip("no chromium, chromium-browser or google-chrome on PATH");
    const dir = await mkdtemp(join(tmpdir(), "outrigger-page-"));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const report = madeUpReport();
    const file = join(dir, "run.html");
    await writeFile(file, pageOf(report, goalsOf(report)));
    const page = await openPage(program, t.signal);
    t.after(() => page.close());
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.call(`${domain}.enable`);
    const url = pathToFileURL(file).href;
    const { errorText } = await page.call("Page.navigate", { url });
    // Some browsers are packed with a folder for temporary files of their own.
    if (errorText === "net::ERR_FILE_NOT_FOUND") return t.skip(`${program} does not see ${dir}`);
    await page.event("Page.loadEventFired");

    for (const id of PLOTS) {
      // Our own function gives back what it says.
      const { width, height, shapes, outside } = (await evaluate(
        page,
        `(${LOOK})(${JSON.stringify(id)})`,
      )) as Drawn;
      assert.ok(width > 200 && height > 100, `${id} is ${width} by ${height}`);
      assert.ok(shapes.length > 0, `${id} is empty`);
      for (const [left = NaN, top = NaN, right = NaN, bottom = NaN] of shapes) {
        const box = `${id}: ${left},${top} to ${right},${bottom}`;
        assert.ok(right > left && bottom >= top, box);
        assert.ok(left >= -1 && top >= -1 && right <= width + 1 && bottom <= height + 1, box);
      }
      assert.deepEqual(outside, [], id);
    }
    // The style is the page's only outside-like part: its hash has to be right.
    assert.notEqual(await evaluate(page, "getComputedStyle(document.body).maxWidth"), "none");

    const of = (method: string): readonly unknown[] =>
      page.events.filter((event) => event.method === method).map(({ params }) => params);
    assert.deepEqual(of("Runtime.exceptionThrown"), []);
    assert.deepEqual(of("Runtime.consoleAPICalled"), []);
    assert.deepEqual(of("Log.entryAdded"), []);
    const requests = of("Network.requestWillBeSent") as readonly {
      readonly request: { readonly url: string };
    }[];
    assert.deepEqual(
      requests.map(({ request }) => request.url),
      [url],
    );
  },
);
