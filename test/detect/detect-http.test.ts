import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { detectHttp, type HttpDetection } from "../../src/detect/detect-http.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { loopback, roundTrip } from "../transport/loopback.ts";

async function detect(text: string, end = false): Promise<HttpDetection> {
  const { transport, peer } = await loopback("an accepted TCP socket");
  peer.on("error", () => {});
  if (end) peer.end(text, "latin1");
  else peer.write(text, "latin1");
  return detectHttp(transport, new FakeClock(), 1000);
}

describe("detectHttp", () => {
  it("finds a request line whose method came in a segment of its own", async () => {
    const { transport, peer } = await loopback("an accepted TCP socket");
    const clock = new FakeClock();
    const detecting = detectHttp(transport, clock, 10_000);
    await new Promise<void>((resolve) => peer.write("G", () => resolve()));
    await roundTrip();
    clock.advance(9_900);
    peer.write("ET / HTTP/1.1\r\n");
    const detected = await detecting;
    assert.ok(detected.kind === "http1");
    assert.equal(detected.prefix.toString(), "GET / HTTP/1.1\r\n");
    assert.equal(clock.timers, 0);
  });

  it("finds the HTTP/2 preface", async () => {
    assert.equal((await detect("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).kind, "http2");
  });

  it("gives other bytes back at once", async () => {
    const detected = await detect("SSH-2.0-OpenSSH_9.6\r\n");
    assert.ok(detected.kind === "not_http");
    assert.equal(detected.prefix.toString(), "SSH-2.0-OpenSSH_9.6\r\n");
  });

  it("takes a short message and its end for something else than HTTP", async () => {
    const detected = await detect("PING", true);
    assert.ok(detected.kind === "not_http");
    assert.equal(detected.prefix.toString(), "PING");
  });

  it("closes a connection whose client ends without a word", async () => {
    const { transport, peer } = await loopback("an accepted TCP socket");
    const gone = once(peer, "end");
    peer.resume();
    peer.end();
    assert.deepEqual(await detectHttp(transport, new FakeClock(), 1000), {
      kind: "closed",
      error: undefined,
    });
    await gone;
    assert.equal(transport.destroyed, true);
  });

  it("says that time is up, leaving the choice to the policy", async () => {
    const { transport } = await loopback("an accepted TCP socket");
    const clock = new FakeClock();
    const detecting = detectHttp(transport, clock, 10_000, { initial: Buffer.from("GE") });
    clock.advance(10_000);
    assert.deepEqual(await detecting, { kind: "timeout", prefix: Buffer.from("GE") });
  });

  it("stops when the server speaks first", async () => {
    const { transport } = await loopback("an accepted TCP socket");
    const serverSpoke = new AbortController();
    const detecting = detectHttp(transport, new FakeClock(), 10_000, { signal: serverSpoke.signal });
    serverSpoke.abort();
    assert.equal((await detecting).kind, "stopped");
  });
});
