import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { FrameFlag, FrameType } from "../../../src/wire/http2/frame.ts";
import { TestCa } from "../../support/certs.ts";
import { CASES, H } from "../../support/h1-request-cases.ts";
import { block, frameBytes, type Pairs } from "../../support/h2-raw-peer.ts";
import { RawH2Socket } from "../../support/h2-raw-socket.ts";
import { BASE, MALFORMED } from "../../support/h2-request-cases.ts";
import { DB } from "../../tls/mesh-peer.ts";
import { exchange, HttpLab, RawApp, until } from "../http-lab.ts";

describe("requests that are two", { timeout: 60_000 }, () => {
  const ca = TestCa.create();
  let app: RawApp;
  let lab: HttpLab;

  before(async () => {
    app = await RawApp.start();
    lab = await HttpLab.start(ca, app.port);
  });
  after(() => {
    lab.close();
    app.close();
  });

  const heads = (): number => app.received.match(/^\S+ \S+ HTTP\/1\.[01]\r\n/gm)?.length ?? 0;

  test("invariant 28: ranked 9: an HTTP/1 request of two meanings is refused, and its connection closed", async () => {
    for (const [name, text, expected] of CASES) {
      if (expected.kind === "served") continue;
      app.forget();
      const served = expected.kind === "refused" ? expected.served : 0;
      const { statuses, ended } = await exchange(
        lab.unmeshed(),
        `GET /prime HTTP/1.1\r\n${H}\r\n${text}`,
        99,
      );
      const status = expected.kind === "refused" ? expected.status : 400;
      assert.deepEqual(statuses, [...Array<number>(1 + served).fill(200), status], name);
      assert.ok(ended, name);
      // A body that turns out to be bad was begun, and never looks complete.
      const begun = expected.kind === "aborted" ? 1 : 0;
      assert.ok(heads() <= 1 + served + begun, `${name}: ${JSON.stringify(app.received.slice(0, 400))}`);
      if (begun === 0) assert.equal(heads(), 1 + served, name);
      else assert.doesNotMatch(app.received.split("/prime")[1] ?? "", /\r\n0\r\n\r\n$/, name);
    }
  });

  test("invariant 28: an HTTP/1 request of one meaning arrives with one framing", async () => {
    for (const [name, text, expected] of CASES) {
      if (expected.kind !== "served") continue;
      app.forget();
      const socket = lab.unmeshed();
      const { statuses } = await exchange(socket, text, expected.bodies.length);
      socket.destroy();
      assert.deepEqual(new Set(statuses), new Set([200]), name);
      assert.equal(heads(), expected.bodies.length, name);
      for (const head of app.received.split(/\r\n\r\n/)) {
        const framings = head.match(/^(?:content-length|transfer-encoding):/gm) ?? [];
        assert.ok(framings.length <= 1, `${name}: ${head}`);
      }
    }
  });

  test("invariant 27: ranked 9: a malformed HTTP/2 request becomes no HTTP/1 request, and its neighbours live", async () => {
    const socket = lab.meshed(DB);
    await once(socket, "secureConnect");
    const peer = RawH2Socket.over(socket);
    let id = 1;
    const send = (list: Pairs, endStream: boolean): void => {
      const flags = FrameFlag.endHeaders | (endStream ? FrameFlag.endStream : 0);
      peer.write(frameBytes(FrameType.headers, flags, id, block([...list, CARRIED])));
    };
    const resets = (): number => [...peer.resets.values()].reduce((all, n) => all + n, 0);
    for (const [name, list] of MALFORMED) {
      app.forget();
      const before = resets();
      send(list, true);
      await until(`${name} is reset`, () => resets() > before);
      assert.equal(heads(), 0, name);
      id += 2;
    }
    // Bodies that contradict their length, and trailers that are none.
    for (const [name, length, act] of BODIES) {
      app.forget();
      const before = resets();
      send(
        [
          [":method", "POST"],
          ...BASE.slice(1),
          ...(length === "" ? [] : [["content-length", length] as const]),
        ],
        false,
      );
      for (const frame of act(id)) peer.write(frame);
      await until(`${name} is reset`, () => resets() > before);
      await until(`${name} is broken off`, () => app.connections.every(({ closed }) => closed));
      assert.ok(heads() <= 1, name);
      id += 2;
    }
    assert.deepEqual([...peer.resets.keys()], ["PROTOCOL_ERROR"]);
    app.forget();
    const answered = peer.count(FrameType.headers);
    send(BASE, true);
    await until("the connection goes on", () => peer.count(FrameType.headers) > answered);
    assert.equal(heads(), 1);
    assert.equal(peer.goaway, undefined);
    peer.destroy();
  });
});

const CARRIED = ["l5d-orig-proto", "HTTP/1.1"] as const;

const data = (id: number, text: string, end: boolean): Buffer =>
  frameBytes(FrameType.data, end ? FrameFlag.endStream : 0, id, Buffer.from(text));
const trailers = (id: number, list: Pairs, end: boolean): Buffer =>
  frameBytes(FrameType.headers, FrameFlag.endHeaders | (end ? FrameFlag.endStream : 0), id, block(list));

const BODIES: readonly (readonly [string, string, (id: number) => Buffer[]])[] = [
  ["DATA beyond content-length", "3", (id) => [data(id, "12345", false)]],
  ["DATA short of content-length", "9", (id) => [data(id, "12345", true)]],
  [
    "trailers before content-length is reached",
    "4",
    (id) => [data(id, "123", false), trailers(id, [["t", "1"]], true)],
  ],
  ["trailers with a pseudo-header", "", (id) => [trailers(id, [[":path", "/"]], true)]],
  ["trailers without END_STREAM", "", (id) => [trailers(id, [["t", "1"]], false)]],
  ["trailers with connection", "", (id) => [trailers(id, [["connection", "close"]], true)]],
  ["trailers with a line break", "", (id) => [trailers(id, [["t", "1\r\nGET / HTTP/1.1"]], true)]],
];
