import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { NOT_KEPT, SENT_BODY_BYTES, SentBodies } from "../../src/http/client/sent-bodies.ts";

/** Small enough for a property to go round it often. */
const RING_BYTES = 2 * SENT_BODY_BYTES;

interface Body {
  at: number;
  readonly expected: number[];
}

test("a body that is still kept reads as it was sent, however pieces of several are mixed", () => {
  const piece = fc.record({
    who: fc.nat(4),
    length: fc.integer({ min: 1, max: 9_000 }),
    fresh: fc.boolean(),
  });
  let read = 0;
  let lost = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const ring = new SentBodies(RING_BYTES);
      const bodies: Body[] = Array.from({ length: 5 }, () => ({ at: 0, expected: [] }));
      let next = 0;
      for (const { who, length, fresh } of pieces) {
        let body = bodies[who];
        if (body === undefined || fresh) bodies[who] = body = { at: 0, expected: [] };
        const bytes = Buffer.from(Array.from({ length }, () => next++ & 0xff));
        body.at = ring.append(body.at, body.expected.length, bytes, 0, length);
        body.expected.push(...bytes);
        bytes.fill(0);
        // The one that was sent last is there for certain, unless a piece of it was lost before or it is too large.
        if (body.at !== NOT_KEPT) assert.ok(ring.read(body.at, body.expected.length));
      }
      for (const { at, expected } of bodies) {
        const found = expected.length === 0 ? undefined : ring.read(at, expected.length);
        if (found === undefined) lost++;
        else {
          read++;
          assert.deepEqual([...found], expected);
        }
      }
    }),
  );
  assert.ok(read > 100 && lost > 100, `${read} read, ${lost} lost`);
});

test("a body is kept up to its bound, and not from then on", () => {
  const ring = new SentBodies();
  const bytes = Buffer.alloc(SENT_BODY_BYTES);
  const at = ring.append(0, 0, bytes, 0, bytes.length);
  assert.equal(ring.read(at, bytes.length)?.length, bytes.length);
  assert.equal(ring.append(at, bytes.length, bytes, 0, 1), NOT_KEPT);
  assert.equal(ring.append(NOT_KEPT, 1, bytes, 0, 1), NOT_KEPT);
  assert.equal(ring.read(NOT_KEPT, 1), undefined);
});
