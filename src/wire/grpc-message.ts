/**
 * Percent-encodes a `grpc-message`: bytes outside 0x20..0x7e, and "%" itself, as UTF-8.
 *
 * Source: gRPC over HTTP/2, "Percent-Encoded".
 */
export function encodeGrpcMessage(text: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(text)) return text;
  let out = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    out += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}
