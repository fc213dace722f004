import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** Endpoints of one piece: about 3 ms to decode and convert. */
export const PIECE_ENDPOINTS = 500;
/** Messages up to this size are not taken apart. */
const WHOLE_MAX_BYTES = 128 * 1024;

/** Field numbers of destination.proto. */
const UPDATE_ADD = 1;
const SET_ADDRS = 1;

/**
 * Takes a large `Update` that adds endpoints apart, into updates that add the same endpoints in order, each with the
 * labels of the set. Every other message comes back whole.
 *
 * Decoding 50,000 endpoints takes a tenth of a second, during which nothing else would run; taking them apart does not
 * look at them (faults-and-threats CP-07).
 *
 * @throws if the bytes are not protobuf.
 */
export function splitUpdate(bytes: Uint8Array): readonly Uint8Array[] {
  if (bytes.length <= WHOLE_MAX_BYTES) return [bytes];
  const update = new BinaryReader(bytes);
  const [number, type] = update.tag();
  if (number !== UPDATE_ADD || type !== WireType.LengthDelimited) return [bytes];
  const set = update.bytes();
  // A second field would be merged with the first, or would replace it: for the decoder to know.
  if (update.pos !== update.len) return [bytes];

  const endpoints: Uint8Array[] = [];
  const shared: Uint8Array[] = [];
  const reader = new BinaryReader(set);
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, type] = reader.tag();
    reader.skip(type, number);
    const part = set.subarray(start, reader.pos);
    if (number === SET_ADDRS && type === WireType.LengthDelimited) endpoints.push(part);
    else shared.push(part);
  }
  const pieces: Uint8Array[] = [];
  for (let i = 0; i < endpoints.length; i += PIECE_ENDPOINTS) {
    const part = Buffer.concat([...endpoints.slice(i, i + PIECE_ENDPOINTS), ...shared]);
    pieces.push(new BinaryWriter().tag(UPDATE_ADD, WireType.LengthDelimited).bytes(part).finish());
  }
  return pieces.length === 0 ? [bytes] : pieces;
}
