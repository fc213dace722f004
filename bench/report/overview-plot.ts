/** All scenarios at a glance: how what each is about compares with every other way. */
import { FIGURES, type FigureName, type Spread } from "../figures.ts";
import { isMeasured, number, RATIO_DIGITS, titleOf } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import { markAt, type Palette } from "./palette.ts";
import { coordinate, figure, WIDTH } from "./plot.ts";
import { roomFor, shortened } from "./row-names.ts";
import type { ScenarioReport } from "./run-report.ts";
import { logScale } from "./scale.ts";

interface Row {
  readonly scenario: string;
  readonly subject: FigureName;
  readonly ratios: readonly { readonly way: string; readonly spread: Spread }[];
}

const ROW = 34;
const TOP = 34;
const BOTTOM = 40;
const RIGHT = 20;

/** @returns undefined where nothing was compared. */
export function overviewPlot(
  scenarios: readonly ScenarioReport[],
  id: string,
  palette: Palette,
): Markup | undefined {
  const rows = rowsOf(scenarios);
  if (rows.length === 0) return undefined;
  const all = rows.flatMap(({ ratios }) => ratios.map(({ spread }) => spread));
  const scale = logScale(
    Math.min(0.9, ...all.map(({ median }) => median)),
    Math.max(1.1, ...all.map(({ median }) => median)),
  );
  const [low, high] = [scale.ticks[0]?.value ?? 1, scale.ticks.at(-1)?.value ?? 1];
  const left = roomFor(rows.map(({ scenario }) => scenario));
  // A range may be longer than the axis: the medians decide how far that goes.
  const place = (value: number): string =>
    coordinate(left + Math.min(1, Math.max(0, scale.place(value))) * (WIDTH - RIGHT - left));
  const bottom = TOP + rows.length * ROW;
  return figure(
    {
      id,
      title: "Ours to theirs",
      note: "by what each scenario is about; for throughput theirs to ours: left is better",
      description: rows.map(inWords).join(". "),
    },
    bottom + BOTTOM,
    [
      html`<rect
        class="better"
        x="${place(low)}"
        y="${TOP}"
        width="${coordinate(Number(place(1)) - Number(place(low)))}"
        height="${bottom - TOP}"
      />`,
      ...scale.ticks.map(
        ({ value, text }) =>
          html`<path class="grid" d="M${place(value)} ${TOP}V${bottom}" />
            <text class="tick middle" x="${place(value)}" y="${bottom + 18}">${text}</text>`,
      ),
      html`<path class="even" d="M${place(1)} ${TOP}V${bottom}" />
        <text class="axis end" x="${Number(place(1)) - 8}" y="${TOP - 12}">← Outrigger is better</text>
        <text class="axis" x="${Number(place(1)) + 8}" y="${TOP - 12}">the other is better →</text>
        <text class="axis end" x="${place(high)}" y="${bottom + 36}">ratio (logarithmic)</text>`,
      ...rows.map((row, i) => drawn(row, { y: TOP + (i + 0.5) * ROW, left }, place, palette)),
    ],
  );
}

function rowsOf(scenarios: readonly ScenarioReport[]): readonly Row[] {
  return scenarios
    .map(({ name, subject, ways }) => ({
      scenario: name,
      subject,
      ratios: ways.flatMap((way) => {
        const spread = lessIsBetter(subject, way.ratios[subject]);
        return spread === undefined ? [] : [{ way: way.name, spread }];
      }),
    }))
    .filter(({ ratios }) => ratios.length > 0);
}

/** @returns undefined for what has no place on a logarithmic axis. */
function lessIsBetter(subject: FigureName, ratio: Spread | undefined): Spread | undefined {
  if (!isMeasured(ratio) || ratio.median <= 0) return undefined;
  const { median } = ratio;
  const min = ratio.min > 0 && Number.isFinite(ratio.min) ? ratio.min : median;
  const max = ratio.max > 0 && Number.isFinite(ratio.max) ? ratio.max : median;
  return FIGURES[subject].better === "lower"
    ? { median, min, max }
    : { median: 1 / median, min: 1 / max, max: 1 / min };
}

function drawn(
  { scenario, ratios }: Row,
  { y, left }: { readonly y: number; readonly left: number },
  place: (value: number) => string,
  palette: Palette,
): Markup {
  return html`<g>
    <text class="name end" x="${left - 8}" y="${y}" dy="0.35em">${shortened(scenario)}</text>
    ${ratios.map(
      ({ way, spread }) =>
        html`<path
          class="range ${palette(way).colour}"
          d="M${place(spread.min)} ${y}H${place(spread.max)}"
        />`,
    )}
    ${ratios.map(({ way, spread }) =>
      markAt(
        place(spread.median),
        String(y),
        palette(way),
        `${scenario}: ${number(spread.median, RATIO_DIGITS)} to ${way}`,
      ),
    )}
  </g>`;
}

function inWords({ scenario, subject, ratios }: Row): string {
  const texts = ratios.map(({ way, spread }) => `${number(spread.median, RATIO_DIGITS)} to ${way}`);
  return `${scenario}, ${titleOf(subject)}: ${texts.join(", ")}`;
}
