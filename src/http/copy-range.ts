/**
 * A copy of a range in memory of its own. `Buffer.from` would place a small one in Node's shared pool, and so keep 64 KB
 * alive for as long as a slow peer makes it wait (JS-07).
 */
export function copyRange(buffer: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(end - start);
  buffer.copy(copy, 0, start, end);
  return copy;
}
