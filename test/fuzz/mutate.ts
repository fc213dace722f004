import type { Input } from "./target.ts";

/** Inputs do not grow beyond this: larger ones find the same and cost more. */
export const INPUT_MAX_BYTES = 64 * 1024;
const SEGMENTS_MAX = 200;

const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x20, 0x0d, 0x0a, 0x2c, 0x3a] as const;

/** Changes an input a little, at a few places: bytes, ranges, and where it is cut. */
export function mutate(
  input: Input,
  other: Input,
  dictionary: readonly Buffer[],
  random: () => number,
): Buffer[] {
  const segments = input.map((segment) => segment);
  const below = (n: number): number => Math.floor(random() * n);
  for (let changes = 1 + below(4); changes > 0; changes--) {
    if (segments.length === 0) segments.push(Buffer.alloc(0));
    const at = below(segments.length);
    const segment = segments[at] ?? Buffer.alloc(0);
    const from = below(segment.length + 1);
    const to = Math.min(segment.length, from + 1 + below(random() < 0.8 ? 8 : segment.length));
    const head = segment.subarray(0, from);
    const range = segment.subarray(from, to);
    const tail = segment.subarray(to);
    switch (below(12)) {
      case 0:
      case 1:
        segments[at] = withByte(segment, from, (byte) => byte ^ (1 << below(8)));
        break;
      case 2:
        segments[at] = withByte(segment, from, () => EDGES[below(2 * EDGES.length)] ?? below(256));
        break;
      case 3:
        segments[at] = withByte(segment, from, (byte) => byte + below(9) - 4);
        break;
      case 4:
        segments[at] = Buffer.concat([head, tail]);
        break;
      case 5:
        segments[at] = Buffer.concat([head, range, range, tail]);
        break;
      case 6:
      case 7: {
        const word = dictionary[below(dictionary.length)] ?? Buffer.of(below(256));
        segments[at] = Buffer.concat([head, word, random() < 0.5 ? range : Buffer.alloc(0), tail]);
        break;
      }
      case 8:
        segments.splice(at, 1, Buffer.concat([head, range]), tail);
        break;
      case 9:
        segments.splice(at, 2, Buffer.concat([segment, segments[at + 1] ?? Buffer.alloc(0)]));
        break;
      case 10: {
        const borrowed = other[below(other.length)];
        if (borrowed !== undefined) segments.splice(from % (segments.length + 1), 0, borrowed);
        break;
      }
      default:
        if (random() < 0.5) segments.splice(at, 1);
        else segments.splice(below(segments.length), 0, segment);
    }
  }
  return bounded(segments);
}

function withByte(segment: Buffer, at: number, change: (byte: number) => number): Buffer {
  const copy = Buffer.from(segment);
  if (at < copy.length) copy[at] = change(copy[at] ?? 0) & 0xff;
  return copy;
}

function bounded(segments: readonly Buffer[]): Buffer[] {
  const kept: Buffer[] = [];
  let bytes = 0;
  for (const segment of segments.slice(0, SEGMENTS_MAX)) {
    bytes += segment.length;
    if (bytes > INPUT_MAX_BYTES) break;
    kept.push(segment);
  }
  return kept;
}
