import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  applyRequestFilters,
  applyResponseFilters,
  changesResponse,
} from "../../src/policy/apply-filters.ts";
import type { Filter, HeaderModifier } from "../../src/policy/filter.ts";
import { redirectLocation } from "../../src/policy/redirect.ts";
import { headerName, type HeaderField, type HeaderName } from "../../src/wire/header-field.ts";
import { scripted } from "../support/chance.ts";
import { fields, request, type RequestText } from "./requests.ts";

type Redirect = Extract<Filter, { kind: "redirect" }>;
const never = scripted();
const text = (list: readonly HeaderField[]): string[] => list.map((f) => `${f.name.text}: ${f.value}`);
const pair = (name: string, value: string): readonly [HeaderName, string] => [headerName(name), value];
const modifier = (m: Partial<HeaderModifier>): HeaderModifier => ({ add: [], set: [], remove: [], ...m });

describe("header modifiers", () => {
  test("add, then set, then remove", () => {
    const r = request({
      headers: [
        ["a", "1"],
        ["b", "1"],
        ["c", "1"],
        ["A-kept", "1"],
      ],
    });
    const filter: Filter = {
      kind: "request_headers",
      modifier: modifier({
        add: [pair("a", "2"), pair("b", "2"), pair("c", "2")],
        set: [pair("b", "3"), pair("new", "1")],
        remove: [headerName("c"), headerName("absent")],
      }),
    };
    assert.equal(applyRequestFilters([filter], r, undefined, never), undefined);
    assert.deepEqual(text(r.fields), ["a: 1", "A-kept: 1", "a: 2", "b: 3", "new: 1"]);
  });

  test("leave alone what frames the message", () => {
    const framing = [
      "content-length",
      "transfer-encoding",
      "connection",
      "te",
      "upgrade",
      "trailer",
      "keep-alive",
    ];
    const before = fields(...framing.map((name) => [name, "1"] as const));
    const list = [...before];
    const all = framing.map((name) => pair(name, "2"));
    applyResponseFilters(
      [
        {
          kind: "response_headers",
          modifier: modifier({ add: all, set: all, remove: framing.map(headerName) }),
        },
      ],
      list,
    );
    assert.deepEqual(list, before);
  });

  test("of the response are not applied to the request, nor the other way round", () => {
    const filters: readonly Filter[] = [
      { kind: "response_headers", modifier: modifier({ set: [pair("x", "response")] }) },
      { kind: "request_headers", modifier: modifier({ set: [pair("x", "request")] }) },
    ];
    const r = request({});
    applyRequestFilters(filters, r, undefined, never);
    assert.deepEqual(text(r.fields), ["x: request"]);
    const response: HeaderField[] = [];
    applyResponseFilters(filters, response);
    assert.deepEqual(text(response), ["x: response"]);
    assert.ok(changesResponse(filters));
    assert.ok(!changesResponse(filters.slice(1)));
  });
});

describe("redirect", () => {
  const plain: Redirect = {
    kind: "redirect",
    scheme: undefined,
    host: undefined,
    port: undefined,
    path: undefined,
    status: 301,
  };
  const here = { scheme: "http", authority: "web:8080", path: "/a/b?q=1" };
  const prefix = (replacement: string) => ({ path: { kind: "prefix", replacement } }) as const;
  const cases: readonly (readonly [
    what: string,
    redirect: Partial<Redirect>,
    request: RequestText,
    prefixLength: number | undefined,
    location: string | undefined,
  ])[] = [
    ["to the same place does nothing", {}, here, 1, undefined],
    ["to the same place, spelled out, does nothing", { scheme: "http", host: "web" }, here, 1, undefined],
    ["to another scheme keeps the rest", { scheme: "https" }, here, 1, "https://web:8080/a/b?q=1"],
    ["to another host keeps the port", { host: "api" }, here, 1, "http://api:8080/a/b?q=1"],
    [
      "drops the port that is the scheme's default",
      { host: "api" },
      { ...here, authority: "web:80" },
      1,
      "http://api/a/b?q=1",
    ],
    [
      "keeps a port that is another scheme's default",
      { host: "api", scheme: "https" },
      { ...here, authority: "web:80" },
      1,
      "https://api:80/a/b?q=1",
    ],
    ["to host and port takes exactly those", { host: "api", port: 80 }, here, 1, "http://api:80/a/b?q=1"],
    ["to a port keeps the host", { port: 9090 }, here, 1, "http://web:9090/a/b?q=1"],
    ["to the default port writes none", { scheme: "https", port: 443 }, here, 1, "https://web/a/b?q=1"],
    ["keeps an IPv6 host", { port: 81 }, { ...here, authority: "[::1]:80" }, 1, "http://[::1]:81/a/b?q=1"],
    [
      "keeps an IPv6 host without port",
      { port: 81 },
      { ...here, authority: "[::1]" },
      1,
      "http://[::1]:81/a/b?q=1",
    ],
    [
      "outbound 4.3: to a full path drops the query",
      { path: { kind: "full", path: "/new" } },
      here,
      undefined,
      "http://web:8080/new",
    ],
    [
      "outbound 4.3: to a full path takes the query that comes with it",
      { path: { kind: "full", path: "/new?p=2" } },
      here,
      undefined,
      "http://web:8080/new?p=2",
    ],
    ["replaces a prefix", prefix("/x"), here, 2, "http://web:8080/x/b?q=1"],
    ["replaces a prefix with a trailing slash", prefix("/x/"), here, 2, "http://web:8080/x/b?q=1"],
    ["replaces the whole path", prefix("/x"), here, 4, "http://web:8080/x?q=1"],
    ["replaces the root", prefix("/x"), here, 1, "http://web:8080/x/a/b?q=1"],
    ["removes a prefix", prefix("/"), here, 2, "http://web:8080/b?q=1"],
    ["removes a prefix by an empty text", prefix(""), here, 4, "http://web:8080/?q=1"],
    ["keeps a trailing slash", prefix("/x"), { ...here, path: "/a/" }, 2, "http://web:8080/x/"],
    [
      "takes http where the request names no scheme",
      { host: "api" },
      { authority: "web", path: "/" },
      1,
      "http://api/",
    ],
    ["needs no authority where the filter gives a host", { host: "api" }, { path: "/" }, 1, "http://api/"],
  ];
  for (const [what, redirect, from, prefixLength, location] of cases) {
    test(what, () => {
      assert.deepEqual(redirectLocation({ ...plain, ...redirect }, request(from), prefixLength), {
        ok: true,
        value: location,
      });
    });
  }

  test("answers with status and location", () => {
    const error = applyRequestFilters([{ ...plain, scheme: "https", status: 308 }], request(here), 1, never);
    assert.equal(error?.code, "redirected");
    assert.equal(error.message, "redirected");
    assert.equal(error.detail.status, 308);
    assert.equal(error.detail.location, "https://web:8080/a/b?q=1");
  });

  test("that replaces a prefix which did not match is an invalid policy", () => {
    const error = applyRequestFilters([{ ...plain, ...prefix("/x") }], request(here), undefined, never);
    assert.equal(error?.code, "invalid_policy");
  });

  test("of a request without authority to no host is an invalid policy", () => {
    const error = applyRequestFilters([{ ...plain, port: 81 }], request({ path: "/" }), 1, never);
    assert.equal(error?.code, "invalid_policy");
  });

  test("that does nothing lets later filters work", () => {
    const failure: Filter = { kind: "internal_error", message: "later" };
    assert.equal(applyRequestFilters([plain, failure], request(here), 1, never)?.message, "later");
  });
});

describe("failure injection", () => {
  const http = (numerator: number, denominator: number): Filter => ({
    kind: "http_failure",
    status: 418,
    message: "tea",
    ratio: { numerator, denominator },
  });
  const inject = (filter: Filter, chance: number) =>
    applyRequestFilters([filter], request({}), undefined, scripted(chance));

  test("hits the share of requests that the ratio says", () => {
    assert.equal(inject(http(1, 4), 0.2499)?.code, "injected_failure");
    assert.equal(inject(http(1, 4), 0.25), undefined);
    assert.equal(inject(http(1, 1), 0.9999)?.code, "injected_failure");
    assert.equal(inject(http(0, 1), 0), undefined);
  });

  test("answers with the status or the gRPC code", () => {
    const httpError = inject(http(1, 1), 0.5);
    assert.equal(httpError?.detail.status, 418);
    assert.equal(httpError.message, "tea");
    assert.equal(httpError.detail.grpcStatus, undefined);
    const grpc = inject(
      { kind: "grpc_failure", code: 7, message: "no", ratio: { numerator: 1, denominator: 1 } },
      0.5,
    );
    assert.equal(grpc?.detail.grpcStatus, 7);
    assert.equal(grpc.detail.status, 200);
  });

  test("ends the list of filters", () => {
    const r = request({});
    const set: Filter = { kind: "request_headers", modifier: modifier({ set: [pair("x", "1")] }) };
    applyRequestFilters([http(1, 1), set], r, undefined, scripted(0));
    assert.deepEqual(r.fields, []);
  });
});
