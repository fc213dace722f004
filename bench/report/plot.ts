/** The frame that all plots stand in, and lines in it. */
import type { Curve } from "./curve.ts";
import { html, type Markup } from "./markup.ts";
import { markAt, type Look } from "./palette.ts";
import type { Scale } from "./scale.ts";

/** What a plot is called, for those who see it and for those who hear it. */
export interface Caption {
  /** Of its own on the page, and fit for an `id`. */
  readonly id: string;
  readonly title: string;
  /** One line below the title: what is shown, and how it was got. */
  readonly note: string;
  /** What the plot says, in words and numbers. */
  readonly description: string;
}

export interface Axis {
  readonly label: string;
  readonly scale: Scale;
}

export interface Line {
  readonly look: Look;
  /** Each is drawn in one go; between them is a gap. */
  readonly segments: readonly Curve[];
  readonly marks: readonly { readonly at: readonly [number, number]; readonly title: string }[];
}

/** Of a plot, in units of its `viewBox`. They are about pixels where the page has room for two plots side by side. */
export const WIDTH = 560;
export const HEIGHT = 240;
/** Of a plot beside which two others stand one above the other, with the caption of one and the gap between them. */
export const TALL_HEIGHT = 2 * HEIGHT + 95;
/** Room for the texts of the axes. */
const LEFT = 58;
const RIGHT = 18;
const TOP = 30;
const BOTTOM = 48;
const RIGHT_EDGE = WIDTH - RIGHT;

/** A figure with its caption; `body` is drawn in a space of `WIDTH` by `height`. */
export function figure(caption: Caption, height: number, body: readonly Markup[]): Markup {
  const { id, title, note, description } = caption;
  return html`<figure class="plot ${height === TALL_HEIGHT ? "tall" : "flat"}">
    <figcaption><strong>${title}</strong> <span>${note}</span></figcaption>
    <svg id="${id}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="${id}-title ${id}-desc">
      <title id="${id}-title">${title}</title>
      <desc id="${id}-desc">${description}</desc>
      ${body}
    </svg>
  </figure>`;
}

/** Tenths of a unit are finer than any screen. */
export function coordinate(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError(`no place on a plot: ${value}`);
  return String(Math.round(value * 10) / 10);
}

/** Lines over two axes, the first at the bottom. All values are finite. */
export function linePlot(
  caption: Caption,
  height: number,
  [x, y]: readonly [Axis, Axis],
  lines: readonly Line[],
): Markup {
  const floor = height - BOTTOM;
  const placeX = (value: number): string => coordinate(LEFT + x.scale.place(value) * (RIGHT_EDGE - LEFT));
  const placeY = (value: number): string => coordinate(floor - y.scale.place(value) * (floor - TOP));
  return figure(caption, height, [
    ...y.scale.ticks.map(
      ({ value, text }) =>
        html`<path class="grid" d="M${LEFT} ${placeY(value)}H${RIGHT_EDGE}" />
          <text class="tick end" x="${LEFT - 8}" y="${placeY(value)}" dy="0.35em">${text}</text>`,
    ),
    ...x.scale.ticks.map(
      ({ value, text }) =>
        html`<path class="grid" d="M${placeX(value)} ${TOP}V${floor}" />
          <text class="tick middle" x="${placeX(value)}" y="${floor + 18}">${text}</text>`,
    ),
    html`<text class="axis" x="4" y="14">${y.label}</text>
      <text class="axis end" x="${RIGHT_EDGE}" y="${height - 8}">${x.label}</text>`,
    ...lines.map(({ look, segments }) => {
      const drawn = (points: Curve): string => points.map(([a, b]) => `${placeX(a)} ${placeY(b)}`).join("L");
      const d = segments.map((points) => `M${drawn(points)}`).join("");
      return html`<path class="line ${look.colour}" d="${d}" stroke-dasharray="${look.dash}" />`;
    }),
    ...lines.flatMap(({ look, marks }) =>
      marks.map(({ at: [a, b], title }) => markAt(placeX(a), placeY(b), look, title)),
    ),
  ]);
}
