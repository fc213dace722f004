import assert from "node:assert/strict";
import { test } from "node:test";
import type { Http2ServerConfig } from "../../src/config/config.ts";
import { h2Settings } from "../../src/http/h2-options.ts";
import { http2Server } from "../../src/proxy/options.ts";

const UNSET: Http2ServerConfig = {
  keepAlive: undefined,
  maxConcurrentStreams: undefined,
  maxFrameSize: undefined,
  maxHeaderListSize: undefined,
  maxPendingAcceptResetStreams: undefined,
  maxSendBufferSize: undefined,
  flowControl: { kind: "fixed", streamWindow: 65_535, connectionWindow: 1_048_576 },
};

test("what no variable sets is left to the server", () => {
  assert.deepEqual(http2Server(UNSET), { streamWindowBytes: 65_535, connectionWindowBytes: 1_048_576 });
});

test("outbound 3.1: every HTTP/2 variable of a server reaches it", () => {
  assert.deepEqual(
    http2Server({
      keepAlive: { intervalMs: 10_000, timeoutMs: 3_000 },
      maxConcurrentStreams: 1,
      maxFrameSize: 20_000,
      maxHeaderListSize: 3,
      maxPendingAcceptResetStreams: 4,
      maxSendBufferSize: 5,
      flowControl: { kind: "adaptive" },
    }),
    {
      keepAlive: { intervalMs: 10_000, timeoutMs: 3_000, whileIdle: true },
      maxConcurrentStreams: 1,
      frameBytes: 20_000,
      headerListBytes: 3,
      pendingResetStreams: 4,
      sendBufferBytes: 5,
      adaptiveWindows: true,
    },
  );
});

test("bounds that are asked for stay within our own", () => {
  const { sendBufferBytes, resetStreams } = h2Settings({ sendBufferBytes: 1e9, resetStreams: 1e9 });
  assert.deepEqual([sendBufferBytes, resetStreams], [409_600, 1_024]);
  const unset = h2Settings({});
  assert.deepEqual([unset.sendBufferBytes, unset.resetStreams, unset.adaptiveWindows], [0, 1_024, false]);
});
