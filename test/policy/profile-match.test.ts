import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import type { ProfileRoute, RequestMatch, ResponseMatch } from "../../src/policy/client-policy.ts";
import { findProfileRoute, judgeRequest, matchesStatus } from "../../src/policy/profile-match.ts";
import { regex, request, type RequestText } from "./requests.ts";

const path = (source: string): RequestMatch => ({ kind: "path", regex: regex(`^(?:${source})$`) });
const method = (name: string): RequestMatch => ({ kind: "method", method: name });
const not = (of: RequestMatch): RequestMatch => ({ kind: "not", of });
const all = (...of: RequestMatch[]): RequestMatch => ({ kind: "all", of });
const any = (...of: RequestMatch[]): RequestMatch => ({ kind: "any", of });
const status = (low: number, high = low): ResponseMatch => ({ kind: "status", low, high });

function routeOf(condition: RequestMatch): ProfileRoute {
  return { condition, labels: [], responseClasses: [], isRetryable: false, timeoutMs: undefined };
}
const find = (conditions: readonly RequestMatch[], text: RequestText): number =>
  findProfileRoute(conditions.map(routeOf), request(text));

describe("outbound 5.2: the route of a profile", () => {
  const cases: readonly (readonly [
    what: string,
    condition: RequestMatch,
    text: RequestText,
    taken: boolean,
  ])[] = [
    ["a path", path("/books/[^/]+"), { path: "/books/1" }, true],
    ["a path without its query", path("/books"), { path: "/books?page=2" }, true],
    ["a whole path only", path("/books"), { path: "/books/1" }, false],
    ["a path as it was written", path("/a b"), { path: "/a%20b" }, false],
    ["a method", method("POST"), { method: "POST", path: "/" }, true],
    ["a method in its own spelling", method("POST"), { method: "post", path: "/" }, false],
    ["all of its members", all(method("GET"), path("/a")), { path: "/a" }, true],
    ["all, and not one of them", all(method("GET"), path("/a")), { method: "PUT", path: "/a" }, false],
    ["any of its members", any(path("/a"), path("/b")), { path: "/b" }, true],
    ["any, and none of them", any(path("/a"), path("/b")), { path: "/c" }, false],
    ["the opposite of its member", not(path("/a")), { path: "/b" }, true],
    ["everything, as all of nothing", all(), { path: "/" }, true],
    ["nothing, as any of nothing", any(), { path: "/" }, false],
    ["a request without a path, by its method", method("CONNECT"), { method: "CONNECT" }, true],
  ];
  for (const [what, condition, text, taken] of cases) {
    test(`takes ${what}`, () => assert.equal(find([condition], text), taken ? 0 : -1));
  }

  test("is the first whose condition holds, whatever comes after", () => {
    const conditions = [path("/a"), path("/a|/b"), method("GET")];
    assert.equal(find(conditions, { path: "/a" }), 0);
    assert.equal(find(conditions, { path: "/b" }), 1);
    assert.equal(find(conditions, { path: "/c" }), 2);
    assert.equal(find(conditions, { method: "PUT", path: "/c" }), -1);
  });
});

describe("a path too long for its pattern", () => {
  const slow = path("/admin(?:/[a-z]+){50}.*");
  const limit = slow.kind === "path" ? slow.regex.maxLength : 0;
  const long = `/${"a".repeat(limit)}`;

  test("is matched neither by the pattern nor by its opposite", () => {
    assert.equal(judgeRequest(slow, "GET", long), "unjudged");
    assert.equal(judgeRequest(not(slow), "GET", long), "unjudged");
    assert.equal(find([slow, not(slow), method("GET")], { path: long }), 2);
  });

  test("is judged where something else decides", () => {
    assert.equal(judgeRequest(all(slow, method("PUT")), "GET", long), "no_match");
    assert.equal(judgeRequest(any(slow, method("GET")), "GET", long), "match");
    assert.equal(judgeRequest(all(slow, method("GET")), "GET", long), "unjudged");
    assert.equal(judgeRequest(any(slow, method("PUT")), "GET", long), "unjudged");
  });
});

test("conditions obey De Morgan's laws", () => {
  const leaf = fc.constantFrom<RequestMatch>(method("GET"), method("PUT"), path("/a"), path("/a|/b"));
  const { tree } = fc.letrec<{ tree: RequestMatch }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      tie("tree").map(not),
      fc.array(tie("tree"), { maxLength: 3 }).map((of) => all(...of)),
      fc.array(tie("tree"), { maxLength: 3 }).map((of) => any(...of)),
    ),
  }));
  const trees = fc.array(tree, { maxLength: 4 });
  fc.assert(
    fc.property(trees, fc.constantFrom("GET", "PUT"), fc.constantFrom("/a", "/b", "/c"), (of, m, p) => {
      assert.equal(judgeRequest(not(all(...of)), m, p), judgeRequest(any(...of.map(not)), m, p));
      assert.equal(judgeRequest(not(any(...of)), m, p), judgeRequest(all(...of.map(not)), m, p));
      for (const one of of) assert.equal(judgeRequest(not(not(one)), m, p), judgeRequest(one, m, p));
    }),
  );
});

test("conditions on responses: ranges with both ends, and their combinations", () => {
  const cases: readonly (readonly [ResponseMatch, number, boolean])[] = [
    [status(500, 599), 500, true],
    [status(500, 599), 599, true],
    [status(500, 599), 499, false],
    [status(404), 404, true],
    [{ kind: "not", of: status(200, 299) }, 404, true],
    [{ kind: "not", of: status(200, 299) }, 204, false],
    [{ kind: "all", of: [status(400, 499), { kind: "not", of: status(404) }] }, 403, true],
    [{ kind: "all", of: [status(400, 499), { kind: "not", of: status(404) }] }, 404, false],
    [{ kind: "any", of: [status(404), status(500, 599)] }, 503, true],
    [{ kind: "any", of: [status(404), status(500, 599)] }, 400, false],
  ];
  for (const [match, code, expected] of cases) assert.equal(matchesStatus(match, code), expected, `${code}`);
});
