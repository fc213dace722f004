import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { finitePoints, medianCurve, thinned, valueAt } from "../../../bench/report/curve.ts";

describe("medianCurve", () => {
  it("is the middle of all rounds at each percentile, whichever round that is", () => {
    const curve = medianCurve([
      {
        curve: [
          [50, 100],
          [99, 900],
        ],
      },
      {
        curve: [
          [50, 120],
          [99, 300],
        ],
      },
      {
        curve: [
          [50, 900],
          [99, 400],
        ],
      },
    ]);
    assert.deepEqual(curve, [
      [50, 120],
      [99, 400],
    ]);
  });

  it("reads between the points of a round that has others", () => {
    const curve = medianCurve([
      {
        curve: [
          [0, 100],
          [100, 200],
        ],
      },
      {
        curve: [
          [0, 100],
          [50, 250],
          [100, 300],
        ],
      },
    ]);
    assert.deepEqual(curve, [
      [0, 100],
      [50, 200],
      [100, 250],
    ]);
  });

  it("ignores rounds without a curve, and is empty if all are", () => {
    assert.deepEqual(medianCurve([{ curve: [] }, { curve: [[50, 7]] }]), [[50, 7]]);
    assert.deepEqual(medianCurve([{ curve: [] }]), []);
    assert.deepEqual(medianCurve([]), []);
  });
});

describe("valueAt", () => {
  it("knows nothing outside of the curve", () => {
    assert.equal(
      valueAt(
        [
          [50, 100],
          [90, 200],
        ],
        40,
      ),
      undefined,
    );
    assert.equal(
      valueAt(
        [
          [50, 100],
          [90, 200],
        ],
        99,
      ),
      undefined,
    );
    assert.equal(
      valueAt(
        [
          [50, 100],
          [90, 200],
        ],
        70,
      ),
      150,
    );
    assert.equal(valueAt([], 50), undefined);
  });
});

describe("finitePoints", () => {
  it("leaves out what no axis has a place for", () => {
    assert.deepEqual(
      finitePoints([
        [2, 5],
        [1, NaN],
        [Infinity, 3],
        [0, 4],
      ]),
      [
        [0, 4],
        [2, 5],
      ],
    );
  });
});

describe("thinned", () => {
  it("keeps the highest of neighbours, and everything where there is room", () => {
    const curve = [5, 9, 7, 8, 1].map((value, at) => [at, value] as const);
    assert.deepEqual(thinned(curve, 3), [
      [1, 9],
      [3, 8],
      [4, 1],
    ]);
    assert.deepEqual(thinned(curve, 5), curve);
    assert.deepEqual(thinned([], 5), []);
  });
});
