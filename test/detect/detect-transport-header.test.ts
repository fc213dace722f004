import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { detectTransportHeader } from "../../src/detect/detect-transport-header.ts";
import { encodeTransportHeader } from "../../src/wire/transport-header.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { loopback } from "../transport/loopback.ts";

const header = { port: 8080, name: undefined, sessionProtocol: "http2" as const };

describe("detectTransportHeader", () => {
  it("takes the header and leaves the application's bytes", async () => {
    const { transport, peer } = await loopback("an accepted TCP socket");
    peer.write(Buffer.concat([encodeTransportHeader(header), Buffer.from("PRI")]));
    const detected = await detectTransportHeader(transport, new FakeClock(), 1000);
    assert.ok(detected.kind === "header");
    assert.deepEqual(detected.header, header);
    assert.equal(detected.prefix.toString(), "PRI");
    assert.equal(transport.destroyed, false);
  });

  it("closes a connection that begins otherwise, with the reason", async () => {
    const { transport, peer } = await loopback("an accepted TCP socket");
    peer.on("error", () => {});
    peer.write("GET / HTTP/1.1\r\n");
    const detected = await detectTransportHeader(transport, new FakeClock(), 1000);
    assert.ok(detected.kind === "failed");
    assert.equal(detected.error.code, "bad_message");
    assert.match(detected.error.message, /does not begin with a transport header/);
    assert.equal(transport.destroyed, true);
  });

  it("closes a connection without a header in time", async () => {
    const { transport, peer } = await loopback("an accepted TCP socket");
    peer.on("error", () => {});
    const clock = new FakeClock();
    const detecting = detectTransportHeader(transport, clock, 10_000);
    clock.advance(10_000);
    const detected = await detecting;
    assert.ok(detected.kind === "failed");
    assert.equal(detected.error.message, "no transport header within 10000ms");
    assert.equal(transport.destroyed, true);
  });

  it("closes a connection whose peer ends or breaks within the header", async () => {
    const ending = await loopback("an accepted TCP socket");
    ending.peer.end(encodeTransportHeader(header).subarray(0, 20));
    const ended = await detectTransportHeader(ending.transport, new FakeClock(), 1000);
    assert.ok(ended.kind === "failed");
    assert.match(ended.error.message, /closed before its transport header was complete/);
    const breaking = await loopback("an accepted TCP socket");
    breaking.peer.resetAndDestroy();
    const broken = await detectTransportHeader(breaking.transport, new FakeClock(), 1000);
    assert.ok(broken.kind === "failed");
    assert.equal(broken.error.code, "io");
  });
});
