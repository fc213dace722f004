/** From values to places on a plot, and which values deserve a mark on the axis. */
import { number } from "./format.ts";

export interface Tick {
  readonly value: number;
  readonly text: string;
}

export interface Scale {
  readonly ticks: readonly Tick[];
  /** 0 at the start of the axis, 1 at its end. */
  readonly place: (value: number) => number;
}

/** From 0 to a round number that is not less than `max`. */
export function linearScale(max: number, ticksMax = 6): Scale {
  const top = max > 0 ? max : 1;
  const step = roundStep(top / ticksMax);
  const steps = Math.ceil(top / step - 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const ticks = Array.from({ length: steps + 1 }, (_, i) => ({
    value: i * step,
    text: number(i * step, digits),
  }));
  return { ticks, place: (value) => value / (steps * step) };
}

/** The smallest 1, 2 or 5 times a power of ten that is not less. */
function roundStep(atLeast: number): number {
  const power = 10 ** Math.floor(Math.log10(atLeast));
  const factor = [1, 2, 5, 10].find((one) => one * power >= atLeast * (1 - 1e-9)) ?? 10;
  return factor * power;
}

const LOG_STEPS = [1, 2, 5];

/** Powers of ten and what lies between; `min` and `max` above 0. */
export function logScale(min: number, max: number): Scale {
  const values: number[] = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power++)
    for (const step of LOG_STEPS) values.push(step * 10 ** power);
  // From the last mark that is not above the lowest value to the first that is not below the highest.
  const from = Math.max(
    0,
    values.findLastIndex((value) => value <= min * (1 + 1e-9)),
  );
  const to = values.findIndex((value) => value >= max * (1 - 1e-9));
  const shown = values.slice(from, Math.max(to, from + 1) + 1);
  const low = Math.log(shown[0] ?? min);
  const range = Math.log(shown.at(-1) ?? max) - low;
  const ticks = shown.map((value) => ({ value, text: number(value, value < 1 ? decimals(value) : 0) }));
  return { ticks, place: (value) => (Math.log(value) - low) / range };
}

function decimals(value: number): number {
  return -Math.floor(Math.log10(value) + 1e-9);
}

/** Marked where there are as many requests as it takes to know them: each decade is a tenth of the one before. */
const PERCENTILES = [0, 50, 90, 99, 99.9, 99.99];

/**
 * Equal room for each nine, as HDR histograms are drawn: what matters is at the far end.
 *
 * @param highest the last percentile with a value; 100 has no place on such an axis.
 */
export function percentileScale(highest: number): Scale {
  const end = PERCENTILES.find((percentile) => percentile >= highest) ?? 99.99;
  const last = Math.max(nines(end), 1);
  const ticks = PERCENTILES.filter((percentile) => nines(percentile) <= last).map((value) => ({
    value,
    text: String(value),
  }));
  return { ticks, place: (value) => nines(value) / last };
}

/** 1 for the 90th percentile, 2 for the 99th. */
function nines(percentile: number): number {
  return -Math.log10(1 - percentile / 100);
}

const MINUTE = 60;
const HOUR = 3_600;
/** So long an axis is still told in the smaller unit. */
const LONG = 3;

export interface TimeScale extends Scale {
  readonly unit: string;
}

/** For seconds from 0; the texts are in seconds, minutes or hours. */
export function timeScale(seconds: number): TimeScale {
  const [per, unit] =
    seconds > LONG * HOUR ? [HOUR, "hours"] : seconds > LONG * MINUTE ? [MINUTE, "minutes"] : [1, "seconds"];
  const { ticks, place } = linearScale(seconds / per);
  return {
    unit,
    ticks: ticks.map(({ value, text }) => ({ value: value * per, text })),
    place: (value) => place(value / per),
  };
}
