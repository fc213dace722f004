import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import {
  AUTHORITY,
  METHOD,
  PATH,
  RequestHead,
  SCHEME_HTTP,
  type ResponseSink,
} from "../../src/http/message.ts";
import { parseId } from "../../src/identity/id.ts";
import { ProxyHeaders, type ProxyHeadersTarget } from "../../src/outbound/http/proxy-headers.ts";
import { headerField } from "../../src/wire/header-field.ts";
import { fieldsOf, RecordingApp, responseHead, textOf, type SeenRequest } from "../support/recording-app.ts";
import { must } from "./scripted.ts";

const WEB = "web.shop.serviceaccount.identity.linkerd.cluster.local";
const MESHED = {
  kind: "established",
  serverId: must(parseId(WEB)),
  serverName: must(parseDnsName(WEB)),
} as const;
const PLAIN = { kind: "none", reason: "not_provided_by_service_discovery" } as const;

function ask(
  target: Partial<ProxyHeadersTarget>,
  fields: readonly string[],
  answer?: (seen: SeenRequest) => void,
) {
  const app = new RecordingApp(answer);
  const service = new ProxyHeaders(app, {
    name: "endpoint 192.0.2.1:80",
    tls: MESHED,
    authorityOverride: undefined,
    followsClose: false,
    ...target,
  });
  const events: string[] = [];
  let closes = false;
  const response: ResponseSink = {
    head: (head) => {
      closes = head.closeConnection;
      events.push(`${head.status} ${textOf(head.fields).join("; ")}`);
    },
    data: () => {},
    trailers: () => {},
    reset: (error) => events.push(`${error.code}: ${error.message}`),
    credit: () => {},
  };
  const head = new RequestHead(
    20,
    headerField(METHOD, "GET"),
    SCHEME_HTTP,
    headerField(AUTHORITY, "web"),
    headerField(PATH, "/"),
    fieldsOf(fields),
    0,
  );
  service.call(head, true, response);
  return { seen: app.seen[0], events, closes };
}

test("the identity that a request requires is checked, and the header stays behind", () => {
  const { seen } = ask({}, [`l5d-require-id: ${WEB}`, "x-own: 1"]);
  assert.deepEqual(seen?.fields, ["x-own: 1"]);
});

test("a request that requires an identity which the endpoint does not have fails", () => {
  for (const tls of [MESHED, PLAIN]) {
    const { seen, events } = ask({ tls }, ["l5d-require-id: other.shop.example.com"]);
    assert.equal(seen, undefined);
    const found = tls === MESHED ? WEB : "no identity";
    assert.deepEqual(events, [
      `require_id: endpoint 192.0.2.1:80: require identity other.shop.example.com but found ${found}`,
    ]);
  }
});

test("a required identity that is none asks for nothing", () => {
  assert.deepEqual(ask({ tls: PLAIN }, ["l5d-require-id: not an identity"]).seen?.fields, []);
});

test("a gateway gets the authority that it stands for instead of the application's", () => {
  const { seen } = ask({ authorityOverride: "web.remote.svc.cluster.local:8080" }, [
    "host: web",
    "l5d-dst-canonical: web.shop.svc.cluster.local:80",
    "x-own: 1",
  ]);
  assert.equal(seen?.head.authority?.value, "web.remote.svc.cluster.local:8080");
  assert.deepEqual(seen?.fields, ["x-own: 1"]);
});

test("what the peer proxy says about itself stays behind; its close is followed where it is asked for", () => {
  const answer = ({ response }: SeenRequest): void =>
    response.head(responseHead(502, "l5d-proxy-error: why", "l5d-proxy-connection: close", "x-own: 1"), true);
  for (const followsClose of [false, true]) {
    const { events, closes } = ask({ followsClose }, [], answer);
    assert.deepEqual(events, ["502 x-own: 1"]);
    assert.equal(closes, followsClose);
  }
});

test("what goes wrong names the endpoint", () => {
  const { events } = ask({}, [], ({ response }) =>
    response.reset(new ProxyError("io", "connection refused")),
  );
  assert.deepEqual(events, ["io: endpoint 192.0.2.1:80: connection refused"]);
});
