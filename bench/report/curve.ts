/** One curve from the curves of several rounds. */
import type { Round } from "../figures.ts";
import { median } from "../harness/median.ts";

/** Rising by the first of each two; all finite. */
export type Curve = readonly (readonly [number, number])[];

/** The middle of all rounds at every percentile that any of them has: no round alone bends it. */
export function medianCurve(rounds: readonly Pick<Round, "curve">[]): Curve {
  const curves = rounds.map(({ curve }) => finitePoints(curve)).filter(({ length }) => length > 0);
  const places = [...new Set(curves.flatMap((curve) => curve.map(([place]) => place)))].sort((a, b) => a - b);
  return places.flatMap((place) => {
    const values = curves.map((curve) => valueAt(curve, place)).filter((value) => value !== undefined);
    return values.length > 0 ? [[place, median(values)] as const] : [];
  });
}

/** Without what is no number: JSON and divisions know such points, axes do not. */
export function finitePoints(points: Round["curve"]): Curve {
  return points.filter((point) => point.every(Number.isFinite)).sort(([a], [b]) => a - b);
}

/** At most `max` points, each the highest of its neighbours: days of samples do not fit into a few hundred pixels. */
export function thinned(curve: Curve, max: number): Curve {
  const size = Math.ceil(curve.length / max);
  if (size <= 1) return curve;
  return Array.from({ length: Math.ceil(curve.length / size) }, (_, i) =>
    curve.slice(i * size, (i + 1) * size).reduce((high, one) => (one[1] > high[1] ? one : high)),
  );
}

/** By a straight line between neighbours; undefined outside of the curve. */
export function valueAt(curve: Curve, place: number): number | undefined {
  const after = curve.findIndex(([at]) => at >= place);
  const right = curve[after];
  if (right === undefined) return undefined;
  if (right[0] === place) return right[1];
  const left = curve[after - 1];
  if (left === undefined) return undefined;
  return left[1] + ((right[1] - left[1]) * (place - left[0])) / (right[0] - left[0]);
}
