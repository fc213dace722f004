import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { loopbackAddresses } from "../../bench/load/addresses.ts";
import { runAutocannon } from "../../bench/load/autocannon.ts";
import { LoadProcess } from "../../bench/load/load-process.ts";
import type { LoadProtocol, LoadResult, LoadSpec } from "../../bench/load/load-spec.ts";
import { parseClientHello } from "../../src/wire/client-hello.ts";
import { detectHttpPreface } from "../../src/wire/http-preface.ts";
import {
  grpcEcho,
  grpcMessage,
  grpcMessages,
  http1Answer,
  http2Server,
  rawServer,
} from "../support/load-servers.ts";

const KIB = 1024;
const RESPONSE_BYTES = KIB;

const SPEC = {
  ...{ protocol: "http1", authority: "web.test", processes: {} },
  ...{ connections: 4, streams: 3, requestBytes: 100, responseBytes: RESPONSE_BYTES },
  ...{ warmUpSeconds: 0.02, seconds: 0.12 },
} satisfies Partial<LoadSpec>;

const PROTOCOLS: readonly LoadProtocol[] = ["http1", "http2", "grpc", "grpc-stream", "tcp"];

/** Bytes of the body of an answer. */
function bodyBytesOf(protocol: LoadProtocol, bytes: number): number {
  return protocol === "grpc" || protocol === "grpc-stream" ? 5 + bytes : bytes;
}

describe("the load of the bench", () => {
  let load: LoadProcess;

  before(async () => {
    load = await LoadProcess.start();
  });

  after(() => load.stop());

  /** Against our own application. */
  function runDirect(protocol: LoadProtocol, spec: Partial<LoadSpec> = {}): Promise<LoadResult> {
    const port = load.ports[protocol === "http1" || protocol === "tcp" ? protocol : "http2"];
    return load.run({ ...SPEC, protocol, port, ...spec });
  }

  for (const protocol of PROTOCOLS) {
    for (const [name, spec] of [
      ["a closed loop", {}],
      ["an open loop", { ratePerSecond: 500 }],
      ["fresh connections", { freshConnections: true }],
      ["fresh connections in an open loop", { freshConnections: true, ratePerSecond: 500 }],
      [
        "bodies that fill every buffer",
        { requestBytes: 700 * KIB, responseBytes: 900 * KIB, connections: 2 },
      ],
    ] as const satisfies readonly (readonly [string, Partial<LoadSpec>])[]) {
      test(`${protocol} in ${name} is answered without errors, and the bytes add up`, async () => {
        const result = await runDirect(protocol, spec);
        assert.equal(result.errors, 0);
        assert.ok(result.requests > 0, `${result.requests} requests`);
        const { connections, responseBytes } = { ...SPEC, ...spec };
        const bytes = bodyBytesOf(protocol, responseBytes);
        // What was under way at the beginning and at the end.
        const slack = connections * SPEC.streams * bytes;
        assert.ok(Math.abs(result.bodyBytes - result.requests * bytes) <= slack, `${result.bodyBytes} bytes`);
      });
    }
  }

  test("an open loop keeps its rate and leaves time, a closed one takes all there is", async () => {
    const open = await runDirect("tcp", { ratePerSecond: 200, seconds: 0.5 });
    const closed = await runDirect("tcp");
    // Random arrivals: 100 are expected, with a deviation of 10.
    assert.ok(open.requests > 50 && open.requests < 150, `${open.requests} requests`);
    assert.ok(open.loadBusy < 0.5, `${open.loadBusy}`);
    assert.ok(closed.loadBusy > 0.8, `${closed.loadBusy}`);
  });

  test("latency is told as a curve that rises to the largest", async () => {
    const { curve, latency } = await runDirect("http1");
    assert.equal(curve[0]?.[0], 0);
    assert.deepEqual(curve.at(-1), [100, latency.max]);
    assert.deepEqual(
      curve.find(([percentile]) => percentile === 99),
      [99, Math.min(latency.p99, latency.max)],
    );
    for (const [i, [percentile, micros]] of curve.entries()) {
      const [percentileBefore, microsBefore] = curve[i - 1] ?? [-1, 0];
      assert.ok(percentile > percentileBefore && micros >= microsBefore && Number.isInteger(micros));
    }
  });

  test("no latency is told where nothing was answered", async (t) => {
    const { port } = await rawServer(t, "");
    const { requests, curve } = await load.run({ ...SPEC, port });
    assert.deepEqual({ requests, curve }, { requests: 0, curve: [] });
  });

  test("a run that continues adds to what was measured on its port, and to nothing else", async () => {
    const tcp = { processes: { ours: [process.pid] } };
    const first = await runDirect("tcp", tcp);
    const other = await runDirect("http1");
    const both = await runDirect("tcp", { ...tcp, continues: true });
    assert.ok(both.requests > first.requests, `${first.requests}, then ${both.requests}`);
    assert.ok(Math.abs(both.seconds - 2 * SPEC.seconds) < SPEC.seconds / 2, `${both.seconds} s`);
    assert.ok((both.cpuMicros["ours"] ?? 0) >= (first.cpuMicros["ours"] ?? NaN));
    assert.ok(both.latency.max >= first.latency.max);
    // What does not continue begins anew, and what another port did counts for itself.
    assert.ok(Math.abs(other.seconds - SPEC.seconds) < SPEC.seconds / 2, `${other.seconds} s`);
    const anew = await runDirect("tcp");
    assert.ok(Math.abs(anew.seconds - SPEC.seconds) < SPEC.seconds / 2, `${anew.seconds} s`);
  });

  test("an open loop tells the p99 of each stretch of 200 requests, which go on from turn to turn", async () => {
    const spec = { ratePerSecond: 2_500, seconds: 0.12 };
    const first = await runDirect("http1", spec);
    assert.ok(first.windowP99Micros.length <= Math.floor(first.requests / 200));
    const both = await runDirect("http1", { ...spec, continues: true });
    assert.ok(both.windowP99Micros.length <= Math.floor(both.requests / 200));
    assert.deepEqual(both.windowP99Micros.slice(0, first.windowP99Micros.length), first.windowP99Micros);
    for (const micros of both.windowP99Micros) {
      assert.ok(Number.isInteger(micros) && micros > 0 && micros <= both.latency.max, `${micros}`);
    }
    assert.deepEqual((await runDirect("http1")).windowP99Micros, []);
  });

  test("a fresh connection carries one request, and the client ends it", async (t) => {
    const { port, seen } = await rawServer(t, http1Answer(200, "x".repeat(RESPONSE_BYTES)));
    const result = await load.run({ ...SPEC, port, freshConnections: true });
    assert.equal(result.errors, 0);
    assert.ok(result.requests > 0);
    assert.ok(seen.connections >= result.requests);
    assert.equal(seen.requestsMax, 1);
    // The server learns of the last ones a moment later.
    assert.ok(seen.endedByClient >= result.requests - SPEC.connections, `${seen.endedByClient}`);
  });

  test("so many fresh connections are under way at once, and latency counts from their beginning", async (t) => {
    const delayMs = 20;
    const { port, seen } = await rawServer(t, http1Answer(200, "x".repeat(RESPONSE_BYTES)), { delayMs });
    const result = await load.run({ ...SPEC, port, freshConnections: true, ratePerSecond: 1_000 });
    assert.equal(result.errors, 0);
    assert.ok(result.latency.p50 >= (delayMs - 1) * 1000);
    // The server learns a moment later that a connection has ended.
    assert.ok(seen.standingMax >= SPEC.connections && seen.standingMax <= 2 * SPEC.connections);
  });

  test("connections without fresh ones stay the same", async (t) => {
    const { port, seen } = await rawServer(t, http1Answer(200, "x".repeat(RESPONSE_BYTES)));
    const { requests } = await load.run({ ...SPEC, port });
    assert.ok(requests > SPEC.connections);
    assert.equal(seen.connections, SPEC.connections);
  });

  test("streams of gRPC carry many messages, each in its frame", async (t) => {
    const { port, streams } = await grpcEcho(t, RESPONSE_BYTES);
    const result = await load.run({ ...SPEC, protocol: "grpc-stream", port });
    assert.equal(result.errors, 0);
    assert.equal(streams.length, SPEC.connections * SPEC.streams);
    assert.ok(streams.every(({ lengths }) => lengths.every((length) => length === SPEC.requestBytes)));
    const messages = streams.reduce((sum, { lengths }) => sum + lengths.length, 0);
    assert.ok(messages >= result.requests && messages > 2 * streams.length, `${messages} messages`);
  });

  test("a stream that has had its messages ends, and another takes its place", async (t) => {
    const { port, streams } = await grpcEcho(t, RESPONSE_BYTES);
    const result = await load.run({ ...SPEC, protocol: "grpc-stream", port, messagesPerStream: 3 });
    assert.equal(result.errors, 0);
    const ended = streams.filter((stream) => stream.ended);
    assert.ok(ended.length > SPEC.connections * SPEC.streams, `${ended.length} streams have ended`);
    assert.ok(ended.every(({ lengths }) => lengths.length === 3));
  });

  test("the application answers a stream message by message, and ends it with its status", async (t) => {
    const session = connectHttp2(`http://127.0.0.1:${load.ports.http2}`);
    t.after(() => session.destroy());
    const stream = session.request({
      ":method": "POST",
      ":path": "/stream/40000",
      "content-type": "application/grpc",
    });
    const chunks: Buffer[] = [];
    let trailers: Record<string, unknown> = {};
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("trailers", (fields: Record<string, unknown>) => (trailers = fields));
    // Cut within the prefix of the second message.
    const bytes = Buffer.concat([grpcMessage(7), grpcMessage(0), grpcMessage(20_000)]);
    stream.write(bytes.subarray(0, 14));
    await once(stream, "data");
    stream.end(bytes.subarray(14));
    await once(stream, "close");
    const { lengths, rest } = grpcMessages(Buffer.concat(chunks));
    assert.deepEqual(lengths, [40_000, 40_000, 40_000]);
    assert.equal(rest.length, 0);
    assert.equal(trailers["grpc-status"], "0");
  });

  test("streams that are reset are errors, and are opened again", async (t) => {
    let streams = 0;
    const port = await http2Server(t, (stream) => {
      streams++;
      stream.once("data", () => stream.close(2));
    });
    const result = await load.run({ ...SPEC, protocol: "grpc-stream", port });
    assert.ok(result.requests > 0);
    assert.equal(result.errors, result.requests);
    assert.ok(streams > 2 * SPEC.connections * SPEC.streams);
  });

  for (const [name, answer] of [
    ["a status that is not 200", http1Answer(503, "x".repeat(RESPONSE_BYTES))],
    ["a body that is too short", http1Answer(200, "x".repeat(RESPONSE_BYTES - 1))],
  ] as const) {
    for (const freshConnections of [false, true]) {
      test(`${name} is an error on ${freshConnections ? "fresh" : "lasting"} connections`, async (t) => {
        const { port } = await rawServer(t, answer);
        const result = await load.run({ ...SPEC, port, freshConnections });
        assert.ok(result.requests > 0);
        assert.equal(result.errors, result.requests);
      });
    }
  }

  test("a request over TCP is opaque from its first byte", async (t) => {
    const { port, seen } = await rawServer(t, "x");
    await load.run({ ...SPEC, protocol: "tcp", port });
    const first = seen.request.subarray(0, 1);
    assert.equal(detectHttpPreface(first), "not_http");
    assert.deepEqual(parseClientHello(first), { kind: "not_tls" });
    assert.equal(seen.request.length, 12 + SPEC.requestBytes);
  });

  test("an answer over TCP that nobody knows is an error", async (t) => {
    const { port } = await rawServer(t, "x".repeat(RESPONSE_BYTES));
    const result = await load.run({ ...SPEC, protocol: "tcp", port });
    assert.ok(result.requests > 0);
    assert.equal(result.errors, result.requests);
  });

  for (const [name, protocol, status, bytes, grpcStatus] of [
    ["a status that is not 200", "http2", 503, RESPONSE_BYTES, undefined],
    ["a body that is too long", "http2", 200, RESPONSE_BYTES + 1, undefined],
    ["a gRPC status that is not 0", "grpc", 200, RESPONSE_BYTES, "13"],
    ["a message that is too short", "grpc", 200, RESPONSE_BYTES - 1, "0"],
    ["a streamed message that is too short", "grpc-stream", 200, RESPONSE_BYTES - 1, "0"],
    ["a stream that ends with a status that is not 0", "grpc-stream", 200, RESPONSE_BYTES, "13"],
  ] as const) {
    test(`${name} is an error of ${protocol}`, async (t) => {
      const port = await http2Server(t, (stream) => {
        stream.on("end", () => {
          // The run is over: its last requests end with their connections.
          if (stream.destroyed) return;
          const trailers = grpcStatus !== undefined;
          stream.respond({ ":status": status }, { waitForTrailers: trailers });
          stream.on("wantTrailers", () => {
            if (!stream.destroyed) stream.sendTrailers({ "grpc-status": grpcStatus });
          });
          stream.end(trailers ? grpcMessage(bytes) : "x".repeat(bytes));
        });
        stream.resume();
      });
      const result = await load.run({ ...SPEC, protocol, port, messagesPerStream: 1 });
      assert.ok(result.requests > 0);
      assert.ok(result.errors >= result.requests - SPEC.connections * SPEC.streams, `${result.errors}`);
    });
  }

  test("fresh connections that break are errors, and do not end the run", async (t) => {
    const { port, seen } = await rawServer(t, "", { closes: true });
    const result = await load.run({ ...SPEC, port, freshConnections: true });
    assert.ok(result.requests > 0);
    assert.equal(result.errors, result.requests);
    assert.ok(seen.connections >= result.requests);
  });

  for (const freshConnections of [false, true]) {
    test(`says that nobody listens, ${freshConnections ? "with" : "without"} fresh connections`, async () => {
      await assert.rejects(
        load.run({ ...SPEC, port: 1, freshConnections }),
        /port 1 |127\.0\.0\.1:1: ECONNREFUSED/,
      );
    });
  }

  for (const warm of [false, true]) {
    test(`holds ${warm ? "warm" : "silent"} connections until they are released`, async (t) => {
      const { port, seen, sockets } = await rawServer(t, http1Answer(200, "x".repeat(16)));
      assert.equal(await load.holdIdle(port, 250, { warm }), 250);
      assert.deepEqual([seen.standing, seen.requestsMax], [250, warm ? 1 : 0]);
      assert.equal(await load.holdIdle(port, 50, { warm }), 300);
      // Two are closed by their peer, and are not there any more when asked.
      for (const socket of [...sockets].slice(0, 2)) socket.destroy();
      await pause(50);
      assert.equal(await load.releaseIdle(), 298);
      for (let i = 0; i < 100 && seen.standing > 0; i++) await pause(10);
      assert.equal(seen.standing, 0);
      assert.equal(await load.releaseIdle(), 0);
    });
  }

  test("holds thousands, more than a backlog takes", async () => {
    assert.equal(await load.holdIdle(load.ports.tcp, 5_000), 5_000);
    const { errors, requests } = await runDirect("tcp");
    assert.equal(errors, 0);
    assert.ok(requests > 0);
    assert.equal(await load.releaseIdle(), 5_000);
  });

  test("a run has its idle connections beside it, and counts those that are lost", async (t) => {
    const { port, seen, sockets } = await rawServer(t, http1Answer(200, "x".repeat(RESPONSE_BYTES)));
    const running = load.run({ ...SPEC, port, idleConnections: 20, seconds: 0.4 });
    while (seen.standing < 20 + SPEC.connections) await pause(5);
    for (const socket of [...sockets].slice(0, 3)) socket.destroy();
    const { errors, requests } = await running;
    assert.ok(requests > 0);
    assert.equal(errors, 3);
  });

  test("names the limit when descriptors run out", async (t) => {
    const { port } = await rawServer(t, "");
    const module = new URL("../../bench/load/", import.meta.url);
    const script = `
      const { IdleConnections } = await import("${new URL("idle-connections.ts", module).href}");
      const { Poller } = await import("${new URL("poller.ts", module).href}");
      const idle = new IdleConnections(new Poller());
      try { idle.open(${port}, 200); } catch (error) { console.log(error.message, idle.size); }`;
    const limited = ["-c", 'ulimit -n 80; exec "$0" --no-warnings --input-type=module -e "$1"'];
    const out = await new Promise<string>((resolve) => {
      execFile("sh", [...limited, process.execPath, script], (error, out, err) =>
        resolve(error === null ? out : err),
      );
    });
    assert.match(
      out,
      /^\d\d of 200 idle connections: socket: EMFILE, more than 80 open files \(ulimit -n\) 0$/m,
    );
  });

  test("listens on as many addresses as are asked for, none of them a network's", async () => {
    const addresses = await load.listenOnAddresses(300);
    assert.deepEqual(addresses, loopbackAddresses(300));
    assert.equal(new Set(addresses).size, 300);
    for (const address of [addresses[0], addresses[1], addresses[253], addresses[254], addresses[299]]) {
      for (const port of Object.values(load.ports)) {
        const socket = connect(port, address);
        await once(socket, "connect");
        socket.destroy();
      }
    }
    assert.equal(addresses[254], "127.0.1.1");
    assert.ok(!addresses.some((address) => /\.(0|255)$/.test(address)));
    assert.deepEqual(await load.listenOnAddresses(2), ["127.0.0.1", "127.0.0.2"]);
    await assert.rejects(load.listenOnAddresses(1_001), /found 1001 addresses, expected 1 to 1000/);
  });

  test("autocannon loads, too, and knows parts of a millisecond", async () => {
    const result = await runAutocannon({
      ...{ port: load.ports.http1, path: `/bytes/${RESPONSE_BYTES}` },
      ...{ connections: 4, seconds: 0.2, processes: { ours: [process.pid] } },
    });
    assert.equal(result.errors, 0);
    assert.ok(result.requests > 0);
    assert.equal(result.bodyBytes, result.requests * RESPONSE_BYTES);
    assert.ok(result.seconds >= 0.2 && result.seconds < 1, `${result.seconds} s`);
    assert.ok(result.loadBusy > 0.05 && result.loadBusy < 1.5, `${result.loadBusy}`);
    assert.ok(result.curve.some(([, micros]) => micros % 1000 !== 0));
    assert.deepEqual(Object.keys(result.cpuMicros), ["ours"]);
  });

  test("autocannon counts a wrong answer as one error, whatever is wrong about it", async (t) => {
    const path = `/bytes/${RESPONSE_BYTES}`;
    const answers = [
      http1Answer(500, "x".repeat(RESPONSE_BYTES)),
      http1Answer(500, "no"),
      http1Answer(200, "y".repeat(RESPONSE_BYTES)),
    ];
    const results = answers.map(async (answer) => {
      const { port } = await rawServer(t, answer);
      return runAutocannon({ port, path, connections: 2, seconds: 0.1, processes: {} });
    });
    for (const { requests, errors, bodyBytes } of await Promise.all(results)) {
      assert.ok(requests > 0);
      assert.deepEqual({ errors, bodyBytes }, { errors: requests, bodyBytes: 0 });
    }
  });

  test("autocannon says that nobody answers", async () => {
    const request = { port: 1, path: "/bytes/16", connections: 2, seconds: 0.1, processes: {} };
    await assert.rejects(runAutocannon(request), /port 1 answered nothing: \d+ errors/);
  });

  test("a load that has ended says so", async () => {
    const other = await LoadProcess.start();
    other.stop();
    await assert.rejects(other.run({ ...SPEC, port: other.ports.http1 }), /the load process ended/);
    await assert.rejects(other.run({ ...SPEC, port: other.ports.http1 }), /the load process ended/);
  });
});
