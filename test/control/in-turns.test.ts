import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { endpointUpdateFromProto, endpointUpdateInSteps } from "../../src/control/convert/endpoint-update.ts";
import { splitUpdate } from "../../src/control/convert/split-update.ts";
import { inTurns } from "../../src/control/in-turns.ts";
import { Code, type CallStatus } from "../../src/control/stream.ts";
import { UpdateSchema } from "../../src/proto/gen/destination_pb.js";
import { ScriptedStreams } from "./scripted-stream.ts";

const ended: CallStatus = { code: Code.OK, message: "" };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A stream of messages whose first byte says how many steps they take. */
function run() {
  const streams = new ScriptedStreams<Uint8Array>();
  const seen: (number | CallStatus)[] = [];
  const handle = inTurns(streams.open, function* (bytes) {
    const [steps = 0, value = 0] = bytes;
    if (value === 0) throw new Error("is 0");
    for (let i = 1; i < steps; i++) yield;
    return value;
  })({ message: (value) => seen.push(value), end: (status) => seen.push(status) });
  return { stream: streams.last(1), seen, handle };
}

describe("a stream worked on in turns", () => {
  it("passes on at once what takes one step", () => {
    const { stream, seen } = run();
    stream.message(Uint8Array.of(1, 7));
    stream.end(ended);
    assert.deepEqual(seen, [7, ended]);
  });

  it("keeps the order of messages, and the end for last", async () => {
    const { stream, seen } = run();
    stream.message(Uint8Array.of(3, 7));
    stream.message(Uint8Array.of(1, 8));
    stream.end(ended);
    assert.deepEqual(seen, []);
    await turn();
    assert.deepEqual(seen, []);
    await turn();
    assert.deepEqual(seen, [7, 8, ended]);
  });

  it("ends at a message that cannot be read", () => {
    const { stream, seen } = run();
    stream.message(Uint8Array.of(1, 0));
    stream.message(Uint8Array.of(1, 8));
    assert.deepEqual(seen, [{ code: Code.INTERNAL, message: "unreadable message: is 0" }]);
    assert.ok(stream.cancelled);
  });

  it("ends when more waits than may", () => {
    const { stream, seen } = run();
    stream.message(Uint8Array.of(2, 7));
    const large = new Uint8Array(17 * 2 ** 20);
    stream.message(large);
    stream.message(large);
    assert.equal(seen.length, 1);
    assert.ok(stream.cancelled);
  });

  it("stops in the middle when it is cancelled", async () => {
    const { stream, seen, handle } = run();
    stream.message(Uint8Array.of(2, 7));
    handle.cancel();
    await turn();
    assert.deepEqual(seen, []);
    assert.ok(stream.cancelled);
  });
});

describe("a large endpoint set", () => {
  const addrs = Array.from({ length: 2500 }, (_, i) => ({
    // Every thousandth cannot be dialled.
    addr: { ip: { ip: { case: "ipv4", value: 0x0a000000 + i } }, port: i % 1000 === 999 ? 0 : 80 },
    metricLabels: { pod: `web-${i}-${"x".repeat(50)}` },
  })) as Parameters<typeof updateOf>[0];
  function updateOf(addrs: object[]) {
    return create(UpdateSchema, {
      update: { case: "add", value: { addrs, metricLabels: { service: "web" } } },
    });
  }
  const update = updateOf(addrs);
  const bytes = toBinary(UpdateSchema, update);

  it("is read in steps to the same result as at once", () => {
    const work = endpointUpdateInSteps(bytes);
    let steps = 1;
    let step = work.next();
    for (; step.done !== true; step = work.next()) steps++;
    assert.equal(steps, 1 + 5, "one to take it apart, five of 500");
    assert.deepEqual(step.value, endpointUpdateFromProto(update));
    assert.deepEqual(step.value.problems, [
      "add.addrs[999]: has no address or port",
      "add.addrs[1999]: has no address or port",
    ]);
  });

  it("is not taken apart while it is small, nor when it says something else", () => {
    const small = toBinary(UpdateSchema, updateOf(addrs.slice(0, 10)));
    assert.deepEqual(splitUpdate(small), [small]);
    const twice = Buffer.concat([bytes, small]);
    assert.deepEqual(splitUpdate(twice), [twice]);
  });

  it("is an error when it is cut off", () => {
    assert.throws(() => endpointUpdateInSteps(bytes.subarray(0, bytes.length - 1)).next());
  });
});
