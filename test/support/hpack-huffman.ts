import { HUFFMAN_CODE } from "../../src/wire/hpack/huffman-code.ts";

/** Huffman coding by the letter of RFC 7541 section 5.2, bit by bit: slow, and independent of the decoder's tables. */
export function huffmanEncode(bytes: Uint8Array): Buffer {
  let bits = "";
  for (const byte of bytes) {
    const code = HUFFMAN_CODE[byte * 2] ?? 0;
    bits += code.toString(2).padStart(HUFFMAN_CODE[byte * 2 + 1] ?? 0, "0");
  }
  while (bits.length % 8 !== 0) bits += "1";
  const out = Buffer.alloc(bits.length / 8);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(bits.slice(i * 8, i * 8 + 8), 2);
  return out;
}
