import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpGateway } from "../../src/gateway/http-gateway.ts";
import {
  AUTHORITY,
  METHOD,
  PATH,
  RequestHead,
  SCHEME_HTTP,
  type HttpVersion,
  type ResponseSink,
} from "../../src/http/message.ts";
import { headerField } from "../../src/wire/header-field.ts";
import { fieldsOf, RecordingApp } from "../support/recording-app.ts";

const US = "gateway.shop.serviceaccount.identity.linkerd.cluster.local";
const CLIENT = "web.east.serviceaccount.identity.linkerd.cluster.local";
const HOST = "web.shop.svc.cluster.local:8080";
const FORWARDED = `forwarded: by=${US};for=${CLIENT};host=${HOST};proto=https`;

function call(version: HttpVersion, lines: readonly string[], clientId = CLIENT) {
  const app = new RecordingApp();
  const gateway = new HttpGateway(app, { localId: US, clientId, host: HOST });
  const outcome: string[] = [];
  const response: ResponseSink = {
    head: (head) => outcome.push(String(head.status)),
    data: () => {},
    trailers: () => {},
    reset: (error) => outcome.push(error.code),
    credit: () => {},
  };
  const authority = headerField(AUTHORITY, "claimed.example.org");
  const method = headerField(METHOD, "GET");
  const head = new RequestHead(
    version,
    method,
    SCHEME_HTTP,
    authority,
    headerField(PATH, "/"),
    fieldsOf(lines),
    0,
  );
  gateway.call(head, true, response);
  return { seen: app.seen[0], outcome };
}

for (const version of [10, 11] as const) {
  test(`inbound 4.5: an HTTP/1 request (${version}) is told its host anew, once, and so is whoever routes it`, () => {
    for (const hosts of [[], ["host: a"], ["host: a", "host: b"]]) {
      const { seen } = call(version, [...hosts, "x: y"]);
      assert.deepEqual(seen?.fields, ["x: y", FORWARDED, `host: ${HOST}`]);
      assert.equal(seen?.head.authority?.value, HOST);
    }
  });
}

test("inbound 4.5: an HTTP/2 request keeps what it came with, and is marked behind what others wrote", () => {
  const { seen } = call(20, ["forwarded: for=a;by=b", "x: y"]);
  assert.deepEqual(seen?.fields, ["forwarded: for=a;by=b", "x: y", FORWARDED]);
  assert.equal(seen?.head.authority?.value, "claimed.example.org");
});

test("invariant 22: a request that has been here goes no further, whichever of its fields tells", () => {
  for (const lines of [
    [`forwarded: by=${US}`],
    ["forwarded: for=a", "x: y", `forwarded: by=${US};for=b`],
    [`forwarded: for=a, for=b;by="${US}"`],
  ]) {
    const { seen, outcome } = call(20, lines);
    assert.deepEqual(outcome, ["gateway_loop"]);
    assert.equal(seen, undefined);
  }
});

test("invariant 22: nor does any request of a client with our own identity", () => {
  const { seen, outcome } = call(11, [], US);
  assert.deepEqual(outcome, ["gateway_loop"]);
  assert.equal(seen, undefined);
});
