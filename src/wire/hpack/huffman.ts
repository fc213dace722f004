/**
 * Huffman decoding, four bits at a time over a table of states.
 *
 * A state is an inner node of the code tree. No code is shorter than five bits, so a nibble completes at most one symbol.
 *
 * Source: RFC 7541 section 5.2. Asked for by the HTTP/2 scenario of `npm run bench`.
 */
import { HUFFMAN_CODE, HUFFMAN_EOS } from "./huffman-code.ts";

/** Bits of a table entry: symbol (8), whether one was completed (1), next state (the rest). Negative: EOS was met. */
const EMITS = 0x100;
const STATE_SHIFT = 9;
const MET_EOS = -1;

interface Tables {
  /** `state * 16 + nibble` to entry. */
  readonly steps: Int32Array;
  /** 1 for states in which a string may end: at most seven bits, all ones, since the last symbol. */
  readonly ends: Uint8Array;
}

/** Children of a node: a positive number is a node, a negative one `-1 - symbol`, 0 nothing yet (the root is no child). */
function buildTree(): [number, number][] {
  const nodes: [number, number][] = [[0, 0]];
  for (let symbol = 0; symbol <= HUFFMAN_EOS; symbol++) {
    const code = HUFFMAN_CODE[symbol * 2] ?? 0;
    const length = HUFFMAN_CODE[symbol * 2 + 1] ?? 0;
    let at = 0;
    for (let bit = length - 1; bit >= 0; bit--) {
      const side = (code >>> bit) & 1 ? 1 : 0;
      const node = nodes[at] ?? [0, 0];
      if (bit === 0) node[side] = -1 - symbol;
      else if (node[side] === 0) node[side] = nodes.push([0, 0]) - 1;
      at = node[side];
    }
  }
  return nodes;
}

function buildTables(): Tables {
  const nodes = buildTree();
  const child = (node: number, bit: number): number => nodes[node]?.[bit ? 1 : 0] ?? 0;
  const steps = new Int32Array(nodes.length * 16);
  for (let state = 0; state < nodes.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let at = state;
      let emitted = 0;
      let eos = false;
      for (let bit = 3; bit >= 0; bit--) {
        const next = child(at, (nibble >> bit) & 1);
        if (next < 0) {
          const symbol = -1 - next;
          eos ||= symbol === HUFFMAN_EOS;
          emitted = EMITS | (symbol & 0xff);
          at = 0;
        } else at = next;
      }
      steps[state * 16 + nibble] = eos ? MET_EOS : (at << STATE_SHIFT) | emitted;
    }
  }
  const ends = new Uint8Array(nodes.length);
  for (let at = 0, bits = 0; bits < 8; bits++) {
    ends[at] = 1;
    at = child(at, 1);
  }
  return { steps, ends };
}

const { steps: STEPS, ends: ENDS } = buildTables();

/** The most bytes that `length` coded bytes can decode to: the shortest code has five bits. */
export function huffmanDecodedMax(length: number): number {
  return Math.ceil((length * 8) / 5);
}

/**
 * Decodes `source[start, end)` into `target` from offset 0. `target` must have room for `huffmanDecodedMax` bytes.
 *
 * @returns how many bytes were written, or -1: EOS within the string, or padding that is too long or not all ones.
 */
export function huffmanDecode(source: Uint8Array, start: number, end: number, target: Uint8Array): number {
  let state = 0;
  let written = 0;
  for (let at = start; at < end; at++) {
    const byte = source[at] ?? 0;
    let step = STEPS[(state << 4) | (byte >> 4)] ?? MET_EOS;
    if (step < 0) return -1;
    if ((step & EMITS) !== 0) target[written++] = step;
    step = STEPS[((step >> STATE_SHIFT) << 4) | (byte & 15)] ?? MET_EOS;
    if (step < 0) return -1;
    if ((step & EMITS) !== 0) target[written++] = step;
    state = step >> STATE_SHIFT;
  }
  return ENDS[state] === 1 ? written : -1;
}
