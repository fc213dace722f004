import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import type { ProxyError } from "../../src/errors/proxy-error.ts";
import { AUTHORITY, METHOD, PATH, RequestHead, type HttpVersion } from "../../src/http/message.ts";
import {
  authorityOf,
  authorityOfAddr,
  NormalizeAuthority,
  normalizeAuthority,
} from "../../src/http/normalize-authority.ts";
import { headerField } from "../../src/wire/header-field.ts";
import { fieldsOf, RecordingApp, textOf } from "../support/recording-app.ts";

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

test("the authority is the target's, else the Host's, else the one given; Host stays as it is", () => {
  for (const [head, expected] of [
    [request(11, "target.test", "host: h.test"), "target.test"],
    [request(11, undefined, "host: h.test:81"), "h.test:81"],
    [request(10, undefined, "x: y", "host: h.test"), "h.test"],
    [request(11, undefined), "default.test"],
    [request(11, undefined, "host: "), "default.test"],
    [request(11, undefined, "host: a b", "host: c.test"), "c.test"],
    [request(20, undefined, "host: h.test"), undefined],
  ] as const) {
    const before = textOf(head.fields);
    assert.equal(normalizeAuthority(head, authorityOf("default.test")), true);
    assert.equal(head.authority?.value, expected);
    assert.deepEqual(textOf(head.fields), before);
  }
});

test("the scheme is http where the request did not tell", () => {
  const head = request(11, undefined, "host: h.test");
  normalizeAuthority(head, undefined);
  assert.equal(head.scheme?.value, "http");
});

test("an address is written without port 80", () => {
  for (const [text, authority] of [
    ["192.0.2.1:80", "192.0.2.1"],
    ["192.0.2.1:8080", "192.0.2.1:8080"],
    ["[2001:db8::1]:80", "[2001:db8::1]"],
    ["[2001:db8::1]:81", "[2001:db8::1]:81"],
  ] as const) {
    const addr = parseSocketAddr(text);
    assert.ok(addr.ok);
    assert.equal(authorityOfAddr(addr.value).value, authority);
  }
});

test("without any authority the request fails, and reaches nobody", () => {
  const app = new RecordingApp();
  let error: ProxyError | undefined;
  const response = {
    head() {},
    data() {},
    trailers() {},
    credit() {},
    reset: (e: ProxyError) => void (error = e),
  };
  new NormalizeAuthority(app, undefined).call(request(11, undefined), true, response);
  assert.equal(error?.code, "no_authority");
  assert.equal(error?.message, "failed to normalize URI because no authority could be determined");
  assert.equal(app.seen.length, 0);
});
