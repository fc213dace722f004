import { parsed, unparsed, type Parsed } from "../../parsed.ts";

/** Powers of ten, and of 1024, that the suffixes of Kubernetes stand for. */
const DECIMAL: ReadonlyMap<string, number> = new Map([
  ["n", -9],
  ["u", -6],
  ["m", -3],
  ["", 0],
  ["k", 3],
  ["M", 6],
  ["G", 9],
  ["T", 12],
  ["P", 15],
  ["E", 18],
]);
const BINARY: ReadonlyMap<string, number> = new Map([
  ["Ki", 1],
  ["Mi", 2],
  ["Gi", 3],
  ["Ti", 4],
  ["Pi", 5],
  ["Ei", 6],
]);

/**
 * The thousandths in a Kubernetes quantity such as `1`, `500m`, `0.25` or `2e3`, rounded up as Kubernetes does. Counted
 * in integers: in floating point `1.1` would be 1101 thousandths.
 *
 * Source: Kubernetes, apimachinery/pkg/api/resource/quantity.go (`MilliValue`).
 */
export function parseMilliQuantity(text: string): Parsed<number> {
  const match =
    /^\+?([0-9]{0,18})(?:\.([0-9]{0,9}))?(?:[eE]([+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i))?$/.exec(text);
  const [, whole = "", fraction = "", exponent, suffix = ""] = match ?? [];
  if (match === null || whole + fraction === "") return unparsed(`"${text}" is not a quantity`);
  const binary = BINARY.get(suffix);
  const power =
    (exponent === undefined ? (DECIMAL.get(suffix) ?? 0) : Number(exponent)) + 3 - fraction.length;
  const digits = BigInt(whole + fraction) * 1024n ** BigInt(binary ?? 0);
  const milli = power >= 0 ? digits * 10n ** BigInt(power) : divideUp(digits, 10n ** BigInt(-power));
  return milli <= Number.MAX_SAFE_INTEGER ? parsed(Number(milli)) : unparsed(`"${text}" is too large`);
}

function divideUp(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}
