import type { ByteHandler, Transport } from "./transport.ts";

/**
 * Hands a connection to its next driver: attaches it, gives it the bytes that were read before, and lets the rest follow.
 *
 * The transport is resumed first, which delivers nothing before this call returns; so a driver that pauses on the
 * prefix stays paused. The driver sees `prefix` during the call only, as it sees all bytes.
 */
export function replay(transport: Transport, handler: ByteHandler, prefix: Buffer): void {
  transport.attach(handler);
  transport.resume();
  if (prefix.length > 0) handler.onBytes(prefix, 0, prefix.length);
}
