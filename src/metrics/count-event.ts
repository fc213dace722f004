import type { Counter, Family, Histogram, Labels } from "./registry.ts";

/**
 * Counts one event whose series nobody holds: for what happens once per connection or less. The series lives on for the
 * retention of its family, and is not kept for ever by an asker that has long gone.
 */
export function countEvent(family: Family<Counter>, labels: Labels): void {
  family.cell(labels).value++;
  family.release(labels);
}

/** Observes one value in the same way. */
export function observeEvent(family: Family<Histogram>, labels: Labels, value: number): void {
  family.cell(labels).observe(value);
  family.release(labels);
}
