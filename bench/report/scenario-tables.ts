/** The tables of one scenario. */
import { DIRECT, FIGURES, LOAD_BUSY_MAX, OURS, type FigureName, type Spread } from "../figures.ts";
import {
  isMeasured,
  number,
  NOTHING,
  type Range,
  rangeText,
  RATIO_DIGITS,
  signed,
  titleOf,
} from "./format.ts";
import { html, type Markup } from "./markup.ts";
import { swatch, type Palette } from "./palette.ts";
import type { ScenarioReport, WayReport } from "./run-report.ts";

/** So few columns would be lost in the width of the page. */
const FEW = 6;

/** A row for each way: the ratio that the scenario is about, then every figure that was measured. */
export function figuresTable({ title, subject, ways }: ScenarioReport, palette: Palette): Markup {
  const names = Object.keys(FIGURES) as FigureName[];
  const figures = [subject, ...names.filter((name) => name !== subject)].filter((name) =>
    ways.some((way) => isMeasured(way.figures[name])),
  );
  const compared = ways.some((way) => isMeasured(way.ratios[subject]));
  return html`<div class="scroll">
    <table class="${figures.length < FEW ? "few" : "many"}">
      <caption class="unseen">
        ${title}: all figures, medians with the lowest and highest round
      </caption>
      <thead>
        <tr>
          <th scope="col">way</th>
          ${compared ? html`<th scope="col">ours to theirs<small>${titleOf(subject)}</small></th>` : undefined}
          ${figures.map((name) => html`<th scope="col">${titleOf(name)}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${ways.map(
          (way) =>
            html`<tr class="${way.name === OURS ? "us" : "them"}">
              ${wayCell(way.name, palette)} ${compared ? ratioCell(way.ratios[subject], subject) : undefined}
              ${figures.map((name) => figureCell(way, name))}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

const PERCENTILES = [
  "p50Micros",
  "p90Micros",
  "quietP99Micros",
  "p99Micros",
  "p999Micros",
  "maxMicros",
] as const;

export function isLatency(figure: FigureName): boolean {
  return PERCENTILES.some((name) => name === figure);
}

/** What every way adds to the direct one; undefined where that was not measured, or nothing else was. */
export function addedTable({ title, ways }: ScenarioReport, palette: Palette): Markup | undefined {
  const direct = ways.find(({ name }) => name === DIRECT);
  const figures = PERCENTILES.filter((name) => isMeasured(direct?.figures[name]));
  const others = ways.filter(
    (way) => way !== direct && figures.some((name) => isMeasured(way.figures[name])),
  );
  if (direct === undefined || others.length === 0) return undefined;
  return html`<h3>Added over the direct path</h3>
    <p class="note">
      In µs: the difference of the medians over the rounds; below it, of the best rounds of both. The quiet
      p99 leaves out what else disturbs the machine.
    </p>
    <div class="scroll">
      <table class="few">
        <caption class="unseen">
          ${title}: latency added over the direct path, in microseconds
        </caption>
        <thead>
          <tr>
            <th scope="col">way</th>
            ${figures.map((name) => html`<th scope="col">${titleOf(name).replace(" µs", "")}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${others.map(
            (way) =>
              html`<tr class="${way.name === OURS ? "us" : "them"}">
                ${wayCell(way.name, palette)}
                ${figures.map((name) => addedCell(way.figures[name], direct.figures[name]))}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}

function wayCell(name: string, palette: Palette): Markup {
  return html`<th scope="row">${swatch(palette(name))} ${name}</th>`;
}

function ratioCell(ratio: Spread | undefined, subject: FigureName): Markup {
  return html`<td>
    ${ratioText(ratio, subject)}${isMeasured(ratio) ? range(intervalOf(ratio), RATIO_DIGITS) : undefined}
  </td>`;
}

/** Of the subject, green where we are not worse. Nothing for ways that are not compared with ours. */
export function ratioText(ratio: Spread | undefined, subject: FigureName): Markup | undefined {
  if (!isMeasured(ratio)) return undefined;
  const isGood = FIGURES[subject].better === "lower" ? ratio.median <= 1 : ratio.median >= 1;
  return html`<span class="ratio ${isGood ? "good" : "bad"}">${number(ratio.median, RATIO_DIGITS)}</span>`;
}

function figureCell({ name: way, figures }: WayReport, name: FigureName): Markup {
  const spread = figures[name];
  if (!isMeasured(spread)) return html`<td class="none">${NOTHING}</td>`;
  const { digits } = FIGURES[name];
  // The direct way has nothing else to wait for.
  const isLimit = name === "loadBusy" && spread.median > LOAD_BUSY_MAX && way !== DIRECT;
  const isWrong = isLimit || (name === "errors" && spread.max > 0);
  return html`<td class="${isWrong ? "bad" : "figure"}">
    ${number(spread.median, digits)}${isLimit ? html`<small>the bottleneck</small>` : range(spread, digits)}
  </td>`;
}

function addedCell(spread: Spread | undefined, direct: Spread | undefined): Markup {
  if (!isMeasured(spread) || !isMeasured(direct)) return html`<td class="none">${NOTHING}</td>`;
  return html`<td>
    ${signed(spread.median - direct.median, 0)}<small>${signed(spread.min - direct.min, 0)}</small>
  </td>`;
}

/** Between what the median of a ratio lies; of few rounds between what the rounds were. */
function intervalOf({ min, max, interval: [low, high] = [min, max] }: Spread): Range {
  return { min: low, max: high };
}

/** Nothing where all rounds were alike. */
function range(spread: Range, digits: number): Markup | undefined {
  const text = rangeText(spread, digits);
  const isPoint = number(spread.min, digits) === number(spread.max, digits);
  return isPoint ? undefined : html`<small>${text}</small>`;
}
