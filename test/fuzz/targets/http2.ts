/** HTTP/2 frames through our server and our client, over memory. Segments are frames, right or wrong. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { FRAME_HEADER_BYTES } from "../../../src/wire/http2/frame.ts";
import { answer, arbitraryScript, framesOf, serve } from "../../support/h2-scripts.ts";
import { words, type FuzzTarget, type Input } from "../target.ts";

const FRAME_NAMES = [
  ...["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY"],
  ...["WINDOW_UPDATE", "CONTINUATION"],
];

const H2_WORDS = [
  ...words(
    "\0\0\0\x04\x01\0\0\0\0",
    "\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0",
    "\0\0\x08\x06\0\0\0\0\0abcdefgh",
  ),
  ...words(
    "\0\0\x04\x08\0\0\0\0\x01\x7f\xff\xff\xff",
    "\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
    "\x82\x84\x86\x41\x01h",
  ),
  ...words(
    "\0\0\0\x09\x04\0\0\0\x01",
    "\0\0\0\0\x01\0\0\0\x01",
    "\x40\x01a\x01b",
    "\xbe",
    "\x20",
    "\x7f\xff\xff\xff",
  ),
];

const IDS = [0, 1, 2, 3, 5, 7, 9, 11, 101, 0x7fff_ffff] as const;

/** Changes one frame in a way that keeps it a frame, mostly. */
function mutateFrames(frames: Buffer[], random: () => number): void {
  const below = (n: number): number => Math.floor(random() * n);
  const at = below(frames.length);
  const frame = Buffer.from(frames[at] ?? Buffer.alloc(FRAME_HEADER_BYTES));
  if (frame.length < FRAME_HEADER_BYTES) return;
  switch (below(9)) {
    case 0:
      frame[3] = below(12);
      break;
    case 1:
      frame[4] = (frame[4] ?? 0) ^ (1 << below(6));
      break;
    case 2:
      frame.writeUInt32BE(IDS[below(IDS.length)] ?? 0, 5);
      break;
    case 3: {
      // Another length, and the payload with it.
      const length = below(40);
      const payload = Buffer.alloc(length);
      frame.copy(payload, 0, FRAME_HEADER_BYTES);
      frames[at] = Buffer.concat([frame.subarray(0, FRAME_HEADER_BYTES), payload]);
      frames[at].writeUIntBE(length, 0, 3);
      return;
    }
    case 4:
      if (frame.length > FRAME_HEADER_BYTES)
        frame[FRAME_HEADER_BYTES + below(frame.length - FRAME_HEADER_BYTES)] = below(256);
      break;
    case 5: {
      // A header block in two frames.
      const middle = FRAME_HEADER_BYTES + below(frame.length - FRAME_HEADER_BYTES + 1);
      const rest = Buffer.concat([Buffer.of(0, 0, 0, 9, 4, ...frame.subarray(5, 9)), frame.subarray(middle)]);
      rest.writeUIntBE(frame.length - middle, 0, 3);
      const first = Buffer.from(frame.subarray(0, middle));
      first.writeUIntBE(middle - FRAME_HEADER_BYTES, 0, 3);
      first[4] = (first[4] ?? 0) & ~4;
      frames.splice(at, 1, first, rest);
      return;
    }
    case 6:
      frames.splice(at, 1);
      return;
    case 7:
      frames.splice(below(frames.length), 0, frame);
      return;
    default:
      frame.writeUIntBE((frame.readUIntBE(0, 3) + below(3) - 1) & 0xff_ffff, 0, 3);
  }
  frames[at] = frame;
}

function scripts(seed: number, isClient: boolean): Input[] {
  return fc.sample(arbitraryScript, { seed, numRuns: 120 }).map((steps) => framesOf(steps, isClient));
}

/** Sizes of reads that follow from the input, so that they are the same when it is run again. */
function sizesFor(input: Input): readonly number[] {
  return [1 + (input[0]?.length ?? 0), 9, 1 + input.length, 1 + (input.at(-1)?.[0] ?? 0), 700];
}

/** Types that the reader met as frames before the first broken one, as far as lengths tell. */
function typesSent(input: Input): string[] {
  const bytes = Buffer.concat(input);
  const types = new Set<string>();
  for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length;) {
    types.add(`sent ${FRAME_NAMES[bytes[at + 3] ?? 0] ?? "unknown type"}`);
    at += FRAME_HEADER_BYTES + bytes.readUIntBE(at, 3);
  }
  return [...types];
}

/** What was answered, without numbers that only tell which stream it was. */
function answers(heard: readonly string[]): string[] {
  return heard.map((text) => text.replace(/ \d+/g, "").replace(/[0-9a-f]{64}/, ""));
}

export const h2Server: FuzzTarget = {
  name: "h2-server",
  dictionary: H2_WORDS,
  mutate: mutateFrames,
  slowMs: 5_000,
  seeds: (seed) => scripts(seed, true),
  run: (input) => {
    const whole = serve(input, [1 << 20]);
    assert.deepEqual(serve(input, sizesFor(input)), whole, "the same bytes in other pieces");
    return [...typesSent(input), ...answers(whole)];
  },
};

export const h2Client: FuzzTarget = {
  name: "h2-client",
  dictionary: H2_WORDS,
  mutate: mutateFrames,
  slowMs: 5_000,
  seeds: (seed) => scripts(seed, false),
  run: (input) => [...typesSent(input), ...answers(answer(input, sizesFor(input), input.length % 5))],
};
