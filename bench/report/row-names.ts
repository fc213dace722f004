/** Names at the left of rows, in a plot whose width is given. */

const ROOM_MIN = 76;
const ROOM_MAX = 182;
/** Between the edge of the plot, the name and the row. */
const AROUND = 16;
/** Of the text of names, about. */
const CHARACTER = 7.4;

/** How far from the left edge the rows begin. */
export function roomFor(names: readonly string[]): number {
  const longest = Math.max(...names.map((name) => name.length * CHARACTER));
  return Math.ceil(Math.min(ROOM_MAX, Math.max(ROOM_MIN, AROUND + longest)));
}

/** A name that is too long for any room; whoever uses it has the full one in a title. */
export function shortened(name: string): string {
  const characters = Math.floor((ROOM_MAX - AROUND) / CHARACTER);
  return name.length > characters ? `${name.slice(0, characters - 1)}…` : name;
}
