import type { Sample } from "../../metrics/page.ts";

/** The sum of the samples of a metric that have all the given labels. */
export function sum(
  samples: readonly Sample[],
  name: string,
  labels: Readonly<Record<string, string>>,
): number {
  return samples
    .filter(
      (s) => s.name === name && Object.entries(labels).every(([key, value]) => s.labels.get(key) === value),
    )
    .reduce((total, { value }) => total + value, 0);
}
