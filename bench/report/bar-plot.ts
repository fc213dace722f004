/** A figure of each way as a bar, with whiskers from its lowest to its highest round. */
import { FIGURES, type FigureName, type Spread } from "../figures.ts";
import { isMeasured, number, spreadText, titleOf } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import type { Look, Palette } from "./palette.ts";
import { coordinate, figure, HEIGHT, WIDTH } from "./plot.ts";
import { roomFor, shortened } from "./row-names.ts";
import type { ScenarioReport } from "./run-report.ts";
import { linearScale } from "./scale.ts";

interface Bar {
  readonly name: string;
  readonly look: Look;
  readonly spread: Spread;
}

const TOP = 6;
/** The axis with its texts. */
const BOTTOM = 46;
const FLOOR = HEIGHT - BOTTOM;
/** A few bars do not spread over all the room. */
const ROW_MAX = 44;
/** Of a row; the rest is air. */
const THICKNESS = 0.58;
/** Room for the numbers behind the longest bar. */
const RIGHT = 70;

/** @returns undefined where fewer than two ways have the figure: a bar alone compares nothing. */
export function barPlot(
  scenario: ScenarioReport,
  name: FigureName,
  id: string,
  palette: Palette,
): Markup | undefined {
  const bars = scenario.ways.flatMap((way): readonly Bar[] => {
    const spread = way.figures[name];
    return isMeasured(spread) && spread.median > 0
      ? [{ name: way.name, look: palette(way.name), spread }]
      : [];
  });
  if (bars.length < 2) return undefined;
  const rounds = Math.max(...scenario.ways.map((way) => way.rounds.length));
  const { digits, better } = FIGURES[name];
  const title = titleOf(name);
  const left = roomFor(bars.map((bar) => bar.name));
  const scale = linearScale(Math.max(...bars.map(({ spread }) => highest(spread))), 5);
  const place = (value: number): number => left + scale.place(value) * (WIDTH - RIGHT - left);
  const row = Math.min(ROW_MAX, (FLOOR - TOP) / bars.length);
  return figure(
    {
      id,
      title,
      note: `${rounds > 1 ? "median, with the lowest and highest round" : "one round"}; ${better} is better`,
      description: bars.map((bar) => `${bar.name}: ${spreadText(bar.spread, digits)}`).join(". "),
    },
    HEIGHT,
    [
      ...scale.ticks.map(({ value, text }) => {
        const x = coordinate(place(value));
        return html`<path class="grid" d="M${x} ${TOP}V${FLOOR}" />
          <text class="tick middle" x="${x}" y="${FLOOR + 18}">${text}</text>`;
      }),
      html`<text class="axis end" x="${WIDTH - RIGHT}" y="${FLOOR + 38}">${title}</text>`,
      ...bars.map((bar, i) =>
        drawn(bar, { y: TOP + (i + 0.5) * row, thickness: row * THICKNESS, left }, digits, place),
      ),
    ],
  );
}

function drawn(
  { name, look, spread }: Bar,
  { y, thickness, left }: { readonly y: number; readonly thickness: number; readonly left: number },
  digits: number,
  place: (value: number) => number,
): Markup {
  const [low, high] = [coordinate(place(lowest(spread))), coordinate(place(highest(spread)))];
  const width = coordinate(Math.max(1, place(spread.median) - left));
  const middle = coordinate(y);
  const cap = `${coordinate(y - 4)}v8`;
  const whisker =
    low === high
      ? undefined
      : html`<path class="whisker" d="M${low} ${middle}H${high}M${low} ${cap}M${high} ${cap}" />`;
  return html`<g>
    <title>${name}: ${spreadText(spread, digits)}</title>
    <text class="name end" x="${coordinate(left - 8)}" y="${middle}" dy="0.35em">${shortened(name)}</text>
    <rect
      class="bar ${look.colour}"
      x="${coordinate(left)}"
      y="${coordinate(y - thickness / 2)}"
      width="${width}"
      height="${coordinate(thickness)}"
      rx="2"
    />
    ${whisker}
    <text class="value" x="${coordinate(place(highest(spread)) + 8)}" y="${middle}" dy="0.35em"
      >${number(spread.median, digits)}</text
    >
  </g>`;
}

function lowest({ median, min }: Spread): number {
  return Number.isFinite(min) ? Math.max(0, min) : median;
}

function highest({ median, max }: Spread): number {
  return Number.isFinite(max) ? max : median;
}
