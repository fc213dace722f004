/** How each way looks, the same on the whole page. */
import { DIRECT, OURS } from "../figures.ts";
import { html, type Markup } from "./markup.ts";
import type { RunReport } from "./run-report.ts";

/** Told apart by colour, by dashes and by the shape of the marks: any one of them is enough. */
export interface Look {
  /** The class that sets `--way`, the colour (`style.ts`). */
  readonly colour: string;
  /** Lengths of dash and gap; empty for a solid line. */
  readonly dash: string;
  readonly mark: Mark;
}

type Mark = keyof typeof MARKS;

/** Around 0,0, of about the same area. */
const MARKS = {
  circle: "M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0z",
  square: "M-3.2 -3.2h6.4v6.4h-6.4z",
  triangle: "M0 -4.4l4.2 7.4h-8.4z",
  diamond: "M0 -4.6l4.6 4.6l-4.6 4.6l-4.6 -4.6z",
  down: "M0 4.4l4.2 -7.4h-8.4z",
} as const;

const OUR_LOOK: Look = { colour: "ours", dash: "", mark: "circle" };
const DIRECT_LOOK: Look = { colour: "direct", dash: "2 3", mark: "square" };

/** The numbers of each have no common divisor: two ways share one of them before they share two. */
const COLOURS = 7;
const DASHES = ["", "8 3", "8 3 2 3", "5 3", "12 3", "12 3 2 3 2 3"];
const OTHER_MARKS: readonly Mark[] = ["triangle", "diamond", "square", "down", "circle"];

export type Palette = (way: string) => Look;

/** Others have their looks in the order in which they first appear. */
export function paletteOf(report: RunReport): Palette {
  const names = new Set(report.scenarios.flatMap(({ ways }) => ways.map(({ name }) => name)));
  const others = [...names].filter((name) => name !== OURS && name !== DIRECT);
  return (way) => {
    if (way === OURS) return OUR_LOOK;
    if (way === DIRECT) return DIRECT_LOOK;
    const i = Math.max(0, others.indexOf(way));
    return {
      colour: `other-${(i % COLOURS) + 1}`,
      dash: DASHES[i % DASHES.length] ?? "",
      mark: OTHER_MARKS[i % OTHER_MARKS.length] ?? "circle",
    };
  };
}

/** A mark at a place; the title is what a pointer over it shows. */
export function markAt(x: string, y: string, look: Look, title: string): Markup {
  return html`<g class="mark ${look.colour}" transform="translate(${x} ${y})">
    <title>${title}</title>
    <path d="${MARKS[look.mark]}" />
  </g>`;
}

/** A line with its mark, for legends and tables; whoever uses it writes the name beside it. */
export function swatch(look: Look): Markup {
  return html`<svg class="swatch" viewBox="0 0 30 12" aria-hidden="true">
    <path class="line ${look.colour}" d="M1 6H29" stroke-dasharray="${look.dash}" />
    <path class="mark ${look.colour}" transform="translate(15 6)" d="${MARKS[look.mark]}" />
  </svg>`;
}
