import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { readElement, readElements, readOid } from "../../src/identity/der-reader.ts";
import {
  bitString,
  contextPrimitive,
  octetString,
  oid,
  sequence,
  smallInteger,
  time,
  unsignedInteger,
} from "../../src/identity/der-writer.ts";

describe("the DER reader", () => {
  it("reads back what the writer wrote, for any content and length form", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }), (contents) => {
        const written = contents.map((content) => octetString(Buffer.from(content)));
        const outer = readElement(sequence(...written), 0);
        const elements = outer === undefined ? undefined : readElements(outer.content);
        assert.deepEqual(
          elements?.map((element) => new Uint8Array(element.content)),
          contents,
        );
      }),
    );
  });

  it("refuses what is cut short, indefinite, padded or of a long tag", () => {
    for (const hex of [
      "30",
      "3005",
      "300501",
      "3080",
      "30810100",
      "3082000100",
      "30840000000100",
      "3085000000000100",
      "1f0100",
      "30ff",
    ]) {
      assert.equal(readElement(Buffer.from(hex, "hex"), 0), undefined, hex);
    }
    assert.equal(readElements(Buffer.from("050005", "hex")), undefined);
  });

  it("never throws on any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const elements = readElements(Buffer.from(bytes));
        assert.ok(
          elements === undefined || elements.reduce((sum, e) => sum + e.whole.length, 0) === bytes.length,
        );
      }),
    );
  });

  it("reads object identifiers and refuses padded or unfinished ones", () => {
    for (const dotted of ["2.5.29.17", "1.2.840.10045.4.3.2", "1.3.6.1.5.5.7.3.1", "2.999.3", "0.9.2342"]) {
      assert.equal(readOid(oid(dotted).subarray(2)), dotted);
    }
    for (const hex of ["", "80", "2a8001", "2a86", "ffffffffffff7f"]) {
      assert.equal(readOid(Buffer.from(hex, "hex")), undefined, hex);
    }
  });
});

describe("the DER writer", () => {
  it("writes shortest forms", () => {
    const cases: readonly [Buffer, string][] = [
      [smallInteger(0), "020100"],
      [unsignedInteger(Buffer.from("000080", "hex")), "02020080"],
      [unsignedInteger(Buffer.from("00", "hex")), "020100"],
      [bitString(Buffer.of(0xa0), 5), "030205a0"],
      [contextPrimitive(2, Buffer.from("0001", "hex")), "82020001"],
      [octetString(Buffer.alloc(128)).subarray(0, 3), "048180"],
      [time(Date.UTC(2049, 11, 31, 23, 59, 59)), `170d${Buffer.from("491231235959Z").toString("hex")}`],
      [time(Date.UTC(2050, 0, 1)), `180f${Buffer.from("20500101000000Z").toString("hex")}`],
    ];
    for (const [written, hex] of cases) assert.equal(written.toString("hex"), hex);
  });
});
