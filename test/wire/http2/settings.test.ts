import assert from "node:assert/strict";
import { test } from "node:test";
import { H2Code, h2CodeName } from "../../../src/wire/http2/error-code.ts";
import { canGrow, ReceiveWindow } from "../../../src/wire/http2/flow-window.ts";
import { PeerSettings } from "../../../src/wire/http2/settings.ts";

const CASES: [what: string, id: number, value: number, peerIsServer: boolean, code: H2Code][] = [
  ["ENABLE_PUSH 1 from a client", 2, 1, false, H2Code.noError],
  ["ENABLE_PUSH 1 from a server", 2, 1, true, H2Code.protocolError],
  ["ENABLE_PUSH 2", 2, 2, false, H2Code.protocolError],
  ["the largest window", 4, 0x7fff_ffff, false, H2Code.noError],
  ["a larger window", 4, 0x8000_0000, false, H2Code.flowControlError],
  ["the smallest frame size", 5, 16_384, false, H2Code.noError],
  ["a smaller frame size", 5, 16_383, false, H2Code.protocolError],
  ["the largest frame size", 5, 16_777_215, false, H2Code.noError],
  ["a larger frame size", 5, 16_777_216, false, H2Code.protocolError],
  ["a table of 4 GiB", 1, 0xffff_ffff, false, H2Code.noError],
  ["an unknown setting", 0x99, 7, false, H2Code.noError],
];

for (const [what, id, value, peerIsServer, code] of CASES) {
  test(`answers ${h2CodeName(code)} to ${what}`, () => {
    assert.equal(new PeerSettings(100).apply(id, value, peerIsServer), code);
  });
}

test("keeps what a refused value would have changed", () => {
  const settings = new PeerSettings(100);
  settings.apply(4, 0x8000_0000, false);
  settings.apply(5, 1, false);
  assert.equal(settings.initialWindowSize, 65_535);
  assert.equal(settings.maxFrameSize, 16_384);
  assert.equal(settings.maxConcurrentStreams, 100);
});

test("a window grows to 2^31-1 and not beyond, from below zero too", () => {
  assert.equal(canGrow(0, 0x7fff_ffff), true);
  assert.equal(canGrow(1, 0x7fff_ffff), false);
  assert.equal(canGrow(-10, 0x7fff_ffff), true);
});

test("a receive window announces credit in batches and notices what was not granted", () => {
  const window = new ReceiveWindow(100, 25);
  assert.equal(window.take(100), true);
  assert.equal(window.give(24), 0);
  assert.equal(window.give(1), 25);
  assert.equal(window.left, 25);
  assert.equal(window.take(25), true);
  assert.equal(window.take(1), false);
});

test("names codes that it knows and writes others as numbers", () => {
  assert.equal(h2CodeName(11), "ENHANCE_YOUR_CALM");
  assert.equal(h2CodeName(0xbeef), "0xbeef");
});
