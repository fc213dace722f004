/** Figures as texts, the same in every table, plot and document. */
import { FIGURES, type FigureName, type Spread } from "../figures.ts";
import { planText } from "../settled.ts";
import type { RunReport } from "./run-report.ts";

/** Stands for what was not measured, and for what is no number. */
export const NOTHING = "–";

/** With thousands apart: `82,184`, `0.78`. */
export function number(value: number | undefined, digits: number): string {
  if (value === undefined || !Number.isFinite(value)) return NOTHING;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
    // A difference that rounds to nothing has no sign.
    signDisplay: "negative",
  });
}

export function signed(value: number | undefined, digits: number): string {
  const text = number(value, digits);
  return value !== undefined && value > 0 && Number.isFinite(value) ? `+${text}` : text;
}

/** `CPU µs/request`: the title of a figure, for readers who have more than ASCII. */
export function titleOf(figure: FigureName): string {
  return FIGURES[figure].title.replace(/\bus\b/, "µs");
}

/** Ratios keep two digits: the third is noise in every run that ends on the same day. */
export const RATIO_DIGITS = 2;

/** `12.3 (11.8–13.1)`. */
export function spreadText(spread: Spread | undefined, digits: number): string {
  if (!isMeasured(spread)) return NOTHING;
  return `${number(spread.median, digits)} (${rangeText(spread, digits)})`;
}

/** From the lowest to the highest. */
export type Range = Pick<Spread, "min" | "max">;

export function rangeText({ min, max }: Range, digits: number): string {
  // A dash before a minus sign would be read as one of them.
  const between = min < 0 || max < 0 ? " to " : "–";
  return `${number(min, digits)}${between}${number(max, digits)}`;
}

/** Whether there is a number at all: a ratio to nothing is none. */
export function isMeasured(spread: Spread | undefined): spread is Spread {
  return spread !== undefined && Number.isFinite(spread.median);
}

/** `6 rounds of 2 s`, `6 to 8 rounds of 2 s`. */
export function roundsText({ rounds, roundsAtMost = rounds, seconds }: RunReport["options"]): string {
  return `${planText({ atLeast: rounds, atMost: roundsAtMost })} rounds of ${seconds} s`;
}

/** `2026-11-21 00:09 UTC`; another text as it is. */
export function dateText(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
