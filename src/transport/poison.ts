/** What a poisoned byte looks like in a dump. */
const POISON = 0xdb;

let poisoning = false;

/**
 * Overwrites every buffer that is freed, so that whoever still reads it sees nonsense at once. For tests and diagnosis
 * (`OUTRIGGER_DEBUG_BUFFERS`); off at start.
 */
export function poisonFreedBuffers(on: boolean): void {
  poisoning = on;
}

/** To be called by the last owner of reusable bytes when it is done with them. Does nothing unless poisoning is on. */
export function poisonFreed(bytes: Buffer, length = bytes.length): void {
  if (poisoning) bytes.fill(POISON, 0, length);
}
