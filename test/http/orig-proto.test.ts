import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { AUTHORITY, METHOD, PATH, RequestHead, type HttpVersion } from "../../src/http/message.ts";
import {
  downgradeRequest,
  downgradeResponse,
  OrigProtoDowngrade,
  OrigProtoUpgrade,
  restoreResponse,
  upgradeRequest,
} from "../../src/http/orig-proto.ts";
import { headerField } from "../../src/wire/header-field.ts";
import { fieldsOf, RecordingApp, responseHead, textOf } from "../support/recording-app.ts";

function request(version: HttpVersion, authority: string | undefined, ...lines: string[]): RequestHead {
  const authorityField = authority === undefined ? undefined : headerField(AUTHORITY, authority);
  return new RequestHead(
    version,
    headerField(METHOD, "GET"),
    undefined,
    authorityField,
    headerField(PATH, "/"),
    fieldsOf(lines),
    0,
  );
}
const IGNORE = { head() {}, data() {}, trailers() {}, reset() {}, credit() {} };

test("an upgraded request is HTTP/2, remembers its version and form, and keeps its Host", () => {
  for (const [version, absolute, value] of [
    [11, false, "HTTP/1.1"],
    [10, false, "HTTP/1.0"],
    [11, true, "HTTP/1.1; absolute-form"],
    [10, true, "HTTP/1.0; absolute-form"],
  ] as const) {
    const head = request(
      version,
      "h.test",
      "host: h.test",
      "transfer-encoding: chunked",
      "l5d-orig-proto: forged",
      "x: y",
    );
    head.absoluteForm = absolute;
    upgradeRequest(head);
    assert.equal(head.version, 20);
    assert.equal(head.scheme?.value, "http");
    assert.deepEqual(textOf(head.fields), ["host: h.test", "x: y", `l5d-orig-proto: ${value}`]);
    assert.equal(downgradeRequest(head), true);
    assert.equal(head.version, version);
    assert.equal(head.absoluteForm, absolute);
    assert.deepEqual(textOf(head.fields), ["host: h.test", "x: y"]);
  }
});

test("a response gets its own version back, or the request's where the peer does not tell", () => {
  for (const [line, requestVersion, version] of [
    ["l5d-orig-proto: HTTP/1.0", 11, 10],
    ["l5d-orig-proto: HTTP/1.1", 10, 11],
    ["l5d-orig-proto: HTTP/1.1; x", 10, 10],
    ["x: y", 10, 10],
  ] as const) {
    const head = responseHead(200, line);
    head.version = 20;
    restoreResponse(head, requestVersion);
    assert.equal(head.version, version);
    assert.ok(!textOf(head.fields).some((text) => text.startsWith("l5d-orig-proto")));
  }
});

test("H2-X01 a value may say more than we know about a version we know", () => {
  const head = request(20, "h.test", "l5d-orig-proto: HTTP/1.1; later-form");
  assert.equal(downgradeRequest(head), true);
  assert.equal(head.version, 11);
  assert.equal(head.absoluteForm, false);
});

test("H2-X02 a value without meaning leaves HTTP/2, and is removed", () => {
  for (const value of ["HTTP/9", "", "x".repeat(8_192)]) {
    let unknown = 0;
    const app = new RecordingApp();
    new OrigProtoDowngrade(app, () => unknown++).call(
      request(20, "h.test", `l5d-orig-proto: ${value}`),
      true,
      IGNORE,
    );
    assert.equal(unknown, 1);
    assert.equal(app.seen[0]?.head.version, 20);
    assert.deepEqual(app.seen[0]?.fields, []);
  }
});

test("HTTP/1 requests cannot ask for a downgrade", () => {
  const head = request(11, undefined, "l5d-orig-proto: HTTP/1.0");
  assert.equal(downgradeRequest(head), false);
  assert.equal(head.version, 11);
});

test("H2-T30 the application's Host is the authority that decides, except in absolute-form", () => {
  for (const [form, host, expected] of [
    ["HTTP/1.1", "other.test", "h.test"],
    ["HTTP/1.1", "h.test", "h.test"],
    ["HTTP/1.1", "", ""],
    ["HTTP/1.1; absolute-form", "other.test", "other.test"],
  ] as const) {
    const head = request(20, "h.test", `host: ${host}`, `l5d-orig-proto: ${form}`);
    downgradeRequest(head);
    assert.deepEqual(textOf(head.fields), [`host: ${expected}`]);
  }
  const without = request(20, "h.test", "l5d-orig-proto: HTTP/1.1");
  downgradeRequest(without);
  assert.deepEqual(textOf(without.fields), []);
});

test("the response to a downgraded request tells its version; HTTP/2 ones stay as they are", () => {
  const seen: string[][] = [];
  for (const version of [11, 10, 20] as const) {
    const app = new RecordingApp(({ response }) => {
      const head = responseHead(200, "transfer-encoding: chunked", "x: y");
      if (version === 20) head.fields.shift();
      head.version = version;
      response.head(head, true);
    });
    new OrigProtoDowngrade(app).call(request(20, "h.test", "l5d-orig-proto: HTTP/1.1"), true, {
      ...IGNORE,
      head: (head) => {
        assert.equal(head.version, 20);
        seen.push(textOf(head.fields));
      },
    });
  }
  assert.deepEqual(seen, [
    ["x: y", "l5d-orig-proto: HTTP/1.1"],
    ["x: y", "l5d-orig-proto: HTTP/1.0"],
    ["x: y"],
  ]);
});

test("downgrading a response twice changes nothing more", () => {
  const head = responseHead(200);
  downgradeResponse(head);
  downgradeResponse(head);
  assert.deepEqual(textOf(head.fields), ["l5d-orig-proto: HTTP/1.1"]);
});

test("UP-06 requests for a tunnel and HTTP/2 requests are not upgraded", () => {
  const http2 = new RecordingApp();
  const http1 = new RecordingApp();
  const upgrade = new OrigProtoUpgrade(http2, http1);
  const tunnel = request(11, "h.test", "connection: upgrade", "upgrade: websocket");
  tunnel.upgrade = true;
  upgrade.call(tunnel, false, IGNORE);
  upgrade.call(request(20, "h.test"), true, IGNORE);
  upgrade.call(request(11, "h.test"), true, IGNORE);
  assert.deepEqual(
    http1.seen.map(({ head }) => head.version),
    [11],
  );
  assert.deepEqual(
    http2.seen.map(({ fields }) => fields),
    [[], ["l5d-orig-proto: HTTP/1.1"]],
  );
});

test("H2-X05 a stream error of an upgraded request says what it was", () => {
  const app = new RecordingApp(({ response }) =>
    response.reset(new ProxyError("h2_reset", "INTERNAL_ERROR", { h2Code: 2 })),
  );
  let error: ProxyError | undefined;
  const response = { ...IGNORE, reset: (e: ProxyError) => void (error = e) };
  new OrigProtoUpgrade(app, app).call(request(11, "h.test"), true, response);
  assert.equal(error?.message, "upgraded connection failed with HTTP/2 reset: INTERNAL_ERROR");
  assert.equal(error?.code, "h2_reset");
});
