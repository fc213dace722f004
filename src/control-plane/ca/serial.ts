import { randomBytes } from "node:crypto";

/** Enough that two never meet, within the 20 bytes of RFC 5280 section 4.1.2.2. */
const SERIAL_BYTES = 16;

/** A random positive serial number, big-endian. Random rather than counted: nothing has to be remembered between runs. */
export function newSerial(): Buffer {
  const serial = randomBytes(SERIAL_BYTES);
  // The first bit would be a sign; the second keeps the length, so that no serial is zero.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
}
