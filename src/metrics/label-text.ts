import type { Labels } from "./registry.ts";

/** Longer values are cut: names that peers choose must not decide how big a page is. Source: AD-07. */
export const LABEL_VALUE_MAX = 256;

const SPECIAL = /[\\"\n]/;
const ESCAPES = new Map([
  ["\\", "\\\\"],
  ['"', '\\"'],
  ["\n", "\\n"],
]);

/** Escapes a label value for the text format, after cutting it to `LABEL_VALUE_MAX` UTF-16 units and mending halves of pairs. */
export function escapeLabelValue(value: string): string {
  const short = value.length > LABEL_VALUE_MAX ? value.slice(0, LABEL_VALUE_MAX) : value;
  const whole = short.isWellFormed() ? short : short.toWellFormed();
  if (!SPECIAL.test(whole)) return whole;
  return whole.replace(/[\\"\n]/g, (c) => ESCAPES.get(c) ?? c);
}

/** `a="x",b="y"` without braces: also the identity of a series within its family. */
export function labelText(labels: Labels): string {
  let text = "";
  for (const [name, value] of labels) {
    text += `${text === "" ? "" : ","}${name}="${escapeLabelValue(value)}"`;
  }
  return text;
}

/** A sample value: plain digits where it is whole, `+Inf`, `-Inf` and `NaN` by their names in the format. */
export function numberText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) >= 1e21) return BigInt(value).toString();
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

/** As `numberText`, but always with a decimal point, as the newer families print seconds and bounds. */
export function floatText(value: number): string {
  return Number.isInteger(value) ? `${numberText(value)}.0` : numberText(value);
}
