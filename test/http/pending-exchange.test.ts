import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import {
  AUTHORITY,
  METHOD,
  PATH,
  RequestHead,
  SCHEME_HTTP,
  type HttpService,
  type ResponseSink,
} from "../../src/http/message.ts";
import { PendingExchange } from "../../src/http/pending-exchange.ts";
import { headerField } from "../../src/wire/header-field.ts";
import { RecordingApp, send } from "../support/recording-app.ts";

function setUp(last = false) {
  const events: string[] = [];
  const response: ResponseSink = {
    head: (head) => events.push(String(head.status)),
    data: () => {},
    trailers: () => {},
    reset: (error) => events.push(error.code),
    credit: (bytes) => events.push(`credit ${bytes}`),
  };
  const head = new RequestHead(
    11,
    headerField(METHOD, "POST"),
    SCHEME_HTTP,
    headerField(AUTHORITY, "web"),
    headerField(PATH, "/"),
    [],
    0,
  );
  return { events, pending: new PendingExchange(head, last, response) };
}

const gone = new ProxyError("canceled", "gone");

test("what comes before the start is kept, without credit, and sent in order", () => {
  const { events, pending } = setUp();
  send(pending, "one ", false);
  send(pending, "two", true);
  assert.deepEqual(events, []);
  const app = new RecordingApp();
  pending.start(app);
  assert.deepEqual([app.seen[0]?.body, app.seen[0]?.complete], ["one two", true]);
  assert.deepEqual(events.slice(0, 2), ["credit 4", "credit 3"]);
});

test("a caller that gives up before the start frees its place, and nothing is sent", () => {
  const { events, pending } = setUp(true);
  let left = 0;
  pending.onCanceled = () => left++;
  pending.reset(gone);
  const app = new RecordingApp();
  pending.start(app);
  pending.fail(new ProxyError("failfast", "too late"));
  assert.deepEqual([left, pending.over, app.seen.length, events], [1, true, 0, []]);
});

test("a caller that gives up while the service is being called ends the exchange there", () => {
  const { pending } = setUp();
  const app = new RecordingApp();
  const service: HttpService = {
    call: (head, last, response) => {
      const sink = app.call(head, last, response);
      pending.credit(5);
      pending.reset(gone);
      return sink;
    },
  };
  pending.start(service);
  assert.equal(app.seen[0]?.reset?.code, "canceled");
});

test("credit that is given while the service is being called is not lost", () => {
  const { pending } = setUp();
  const app = new RecordingApp();
  pending.start({
    call: (head, last, response) => {
      const sink = app.call(head, last, response);
      pending.credit(5);
      send(pending, "body", true);
      return sink;
    },
  });
  assert.deepEqual([app.seen[0]?.credited, app.seen[0]?.body], [5, "body"]);
});

test("an exchange that fails before its start is told so once", () => {
  const { events, pending } = setUp(true);
  pending.fail(new ProxyError("failfast", "service in fail-fast"));
  pending.fail(new ProxyError("loadshed", "again"));
  assert.deepEqual(events, ["failfast"]);
});
