/** A run as one HTML page that needs nothing else: no network, no scripts, no other file. */
import { createHash } from "node:crypto";
import { dateText, number, roundsText } from "./format.ts";
import { goalsSection } from "./goals-section.ts";
import type { Goal } from "./goals.ts";
import { html, Markup } from "./markup.ts";
import { overview } from "./overview.ts";
import { paletteOf } from "./palette.ts";
import { scenarioSection } from "./scenario-section.ts";
import type { RunReport } from "./run-report.ts";
import { STYLE } from "./style.ts";

/** The page may show this style and nothing else, whatever a name in the report contains. */
const STYLE_HASH = createHash("sha256").update(STYLE).digest("base64");
const POLICY = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'`;

/** To the byte what the hash is of: white space counts. */
const STYLE_ELEMENT = new Markup(`<style>${STYLE}</style>`);

/** The whole page, to be opened from disk. */
export function pageOf(report: RunReport, goals: readonly Goal[]): string {
  const palette = paletteOf(report);
  const anchors = new Map(report.scenarios.map(({ name }, i) => [name, anchorOf(name, i)]));
  const placeOf = (scenario: string): string | undefined => anchors.get(scenario);
  const page = html`<html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta http-equiv="Content-Security-Policy" content="${POLICY}" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <title>Outrigger bench, ${dateText(report.date)}</title>
      ${STYLE_ELEMENT}
    </head>
    <body>
      <header>
        <h1>Outrigger bench</h1>
        <p class="lead">
          What the proxy costs and adds, beside other proxies that did the same job in the same run. Absolute
          figures change from machine to machine and from hour to hour; the ratios are the result.
        </p>
        ${facts(report)}
        <nav aria-label="Scenarios">
          <ul>
            ${report.scenarios.map(({ name }) => html`<li><a href="#${anchors.get(name)}">${name}</a></li>`)}
          </ul>
        </nav>
      </header>
      <main>
        ${goalsSection(goals, placeOf)} ${overview(report, placeOf, palette)}
        ${report.scenarios.map((scenario) => scenarioSection(scenario, anchors.get(scenario.name) ?? "", palette))}
      </main>
      ${footer()}
    </body>
  </html>`;
  return `<!doctype html>\n${page.toString()}\n`;
}

/** Names of scenarios are fit for an `id` as they are; of others the number keeps them apart. */
function anchorOf(name: string, index: number): string {
  return /^[a-z0-9-]+$/.test(name) ? `scenario-${name}` : `scenario-${index}`;
}

function facts({ date, commit, machine, options, absent }: RunReport): Markup {
  const { cores, model, memoryMiB, kernel, node, pinned } = machine;
  const { warmUpSeconds } = options;
  const rows: readonly (readonly [string, string])[] = [
    ["Date", dateText(date)],
    ["Commit", commitText(commit)],
    ["Machine", `${cores} cores, ${model}, ${number(memoryMiB, 0)} MiB`],
    ["Runs on", `Node ${node}, kernel ${kernel}`],
    [
      "Cores",
      pinned
        ? "one for the proxies, one for load and application"
        : "not kept apart: the figures disturb each other",
    ],
    ["Options", `${roundsText(options)}, after ${warmUpSeconds} s of warm-up`],
    [
      "Absent",
      absent.length === 0
        ? "nobody who was asked for"
        : absent.map(({ name, reason }) => `${name} (${reason})`).join("; "),
    ],
  ];
  return html`<dl class="facts">
    ${rows.map(
      ([term, text]) =>
        html`<div>
          <dt>${term}</dt>
          <dd>${text}</dd>
        </div>`,
    )}
  </dl>`;
}

/** The commit with what the plus sign at its end means. */
export function commitText(commit: string | undefined): string {
  if (commit === undefined) return "unknown: not measured in a repository";
  return commit.endsWith("+") ? `${commit.slice(0, -1)} with changes on top` : commit;
}

function footer(): Markup {
  return html`<footer>
    <p>
      All proxies of a scenario run at once on one core and take turns of a quarter of a second, so that a
      noisy minute is noisy for all. A figure is the median over the rounds, with its lowest and highest
      below. A ratio is the median of the ratios within each round, with its 95 % confidence interval below.
    </p>
    <p>
      Latency in an open loop counts from when a request was due. Where machines are shared, a p99 over
      seconds shows their stalls; the quiet p99 is that of the quietest quarter of stretches of 200 requests.
      CPU is the scheduler's own accounting of all threads of the proxies. The direct path has no proxy on it.
    </p>
  </footer>`;
}
