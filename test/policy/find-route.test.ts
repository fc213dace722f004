import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { grpcRouteTable, httpRouteTable } from "../../src/policy/find-route.ts";
import type { GrpcMatch, HostMatch, HttpMatch, PathMatch } from "../../src/policy/route-match.ts";
import { headerName } from "../../src/wire/header-field.ts";
import { httpMatch, regex, request, type RequestText } from "./requests.ts";

interface NamedRoute<M> {
  readonly hosts: readonly HostMatch[];
  readonly rules: readonly { readonly name: string; readonly matches: readonly M[] }[];
}

/** A route of one rule for each list of matches, named `prefix0`, `prefix1`, ... */
function route<M>(
  name: string,
  hosts: readonly HostMatch[],
  ...rules: readonly (readonly M[])[]
): NamedRoute<M> {
  return { hosts, rules: rules.map((matches, i) => ({ name: `${name}${i}`, matches })) };
}

function find(routes: readonly NamedRoute<HttpMatch>[], text: RequestText): string | undefined {
  return httpRouteTable(routes).find(request(text))?.rule.name;
}

const exactHost = (host: string): HostMatch => ({ kind: "exact", host });
const suffixHost = (...reverseLabels: string[]): HostMatch => ({ kind: "suffix", reverseLabels });
const exact = (path: string): HttpMatch => httpMatch({ path: { kind: "exact", path } });
const prefix = (text: string): HttpMatch => httpMatch({ path: { kind: "prefix", prefix: text } });
const pattern = (source: string): HttpMatch => httpMatch({ path: { kind: "regex", regex: regex(source) } });

describe("host", () => {
  const cases: readonly (readonly [host: HostMatch, authority: string | undefined, matches: boolean])[] = [
    [exactHost("web.example.com"), "web.example.com", true],
    [exactHost("web.example.com"), "WEB.Example.COM", true],
    [exactHost("WEB.example.com"), "web.example.com", true],
    [exactHost("web.example.com"), "web.example.com:8080", true],
    [exactHost("web.example.com"), "web.example.com.", true],
    [exactHost("web.example.com"), "web.example.com.:80", true],
    [exactHost("web.example.com."), "web.example.com.", true],
    [exactHost("web.example.com."), "web.example.com", false],
    [exactHost("web.example.com"), "example.com", false],
    [exactHost("web.example.com"), undefined, false],
    [exactHost("2001:db8::1"), "[2001:DB8::1]:80", true],
    [exactHost("[2001:db8::1]"), "[2001:db8::1]", true],
    [exactHost("example.com"), "user@example.com", true],
    [suffixHost("com", "example"), "web.example.com", true],
    [suffixHost("com", "example"), "a.b.Example.com:80", true],
    [suffixHost("com", "example"), "web.example.com.", true],
    [suffixHost("com", "example"), "example.com", false],
    [suffixHost("com", "example"), "badexample.com", false],
    [suffixHost("com", "example"), ".example.com", false],
  ];
  for (const [host, authority, matches] of cases) {
    test(`${JSON.stringify(host)} ${matches ? "takes" : "does not take"} ${authority}`, () => {
      const text = authority === undefined ? { path: "/" } : { authority, path: "/" };
      assert.equal(find([route("r", [host], [])], text), matches ? "r0" : undefined);
    });
  }

  test("an exact name is preferred to a suffix, a longer suffix to a shorter, any suffix to no host", () => {
    const routes = [
      route<HttpMatch>("none", [], [exact("/long/path")]),
      route<HttpMatch>("short", [suffixHost("com", "example")], []),
      route<HttpMatch>("long", [suffixHost("com", "example", "web")], []),
      route<HttpMatch>("exact", [exactHost("a.web.example.com"), suffixHost("com")], []),
    ];
    const path = "/long/path";
    assert.equal(find(routes, { authority: "a.web.example.com", path }), "exact0");
    assert.equal(find(routes, { authority: "b.web.example.com", path }), "long0");
    assert.equal(find(routes, { authority: "b.example.com", path }), "short0");
    assert.equal(find(routes, { authority: "b.com", path }), "exact0");
    assert.equal(find(routes, { authority: "b.org", path }), "none0");
    assert.equal(find(routes, { path }), "none0");
  });

  test("a route whose host is better but whose rules do not match leaves the request to others", () => {
    const routes = [
      route<HttpMatch>("exact", [exactHost("web")], [exact("/a")]),
      route<HttpMatch>("any", [], []),
    ];
    assert.equal(find(routes, { authority: "web", path: "/b" }), "any0");
  });
});

describe("path", () => {
  const cases: readonly (readonly [match: HttpMatch, path: string, matches: boolean])[] = [
    [exact("/foo"), "/foo", true],
    [exact("/foo"), "/foo?x=1", true],
    [exact("/foo"), "/foo/", false],
    [exact("/foo"), "/FOO", false],
    [exact("/foo"), "/%66oo", false],
    [exact("/foo"), "//foo", false],
    [prefix("/"), "/anything", true],
    [prefix("/"), "*", true],
    [prefix("/foo"), "/foo", true],
    [prefix("/foo"), "/foo/", true],
    [prefix("/foo"), "/foo/bar", true],
    [prefix("/foo"), "/foo?x", true],
    [prefix("/foo"), "/foobar", false],
    [prefix("/foo"), "/foo;x", false],
    [prefix("/foo"), "/./foo", false],
    [prefix("/foo/"), "/foo", true],
    [prefix("/foo/"), "/foo/bar", true],
    [prefix("/foo/"), "/foobar", false],
    [prefix("/foo/bar"), "/foo", false],
    [prefix("/foo/bar"), "/foo?/bar", false],
    [pattern("/a|/ab"), "/ab", false],
    [pattern("/a.*"), "/abc?x=1", true],
    [pattern("/a"), "/a?x=1", true],
  ];
  for (const [match, path, matches] of cases) {
    const condition = match.path?.kind === "regex" ? match.path.regex.source : JSON.stringify(match.path);
    test(`${condition} ${matches ? "takes" : "does not take"} ${path}`, () => {
      assert.equal(find([route("r", [], [match])], { path }), matches ? "r0" : undefined);
    });
  }

  test("the length that matched decides, whatever the kind", () => {
    const routes = [
      route("r", [], [prefix("/")], [prefix("/foo")], [exact("/foo/bar")], [pattern("/foo.*")]),
    ];
    assert.equal(find(routes, { path: "/other" }), "r0");
    assert.equal(find(routes, { path: "/foo" }), "r1", "prefix and pattern match alike: the earlier one");
    assert.equal(find(routes, { path: "/foo/bar" }), "r2");
    assert.equal(find(routes, { path: "/foo/baz" }), "r3");
  });

  test("trailing slashes of a prefix do not count", () => {
    const routes = [route("r", [], [prefix("/foo")], [prefix("/foo///")])];
    assert.equal(find(routes, { path: "/foo/" }), "r0");
  });

  test("a rule without matches counts as the prefix /", () => {
    const routes = [
      route<HttpMatch>("r", [], [httpMatch({ method: "GET" })], []),
      route<HttpMatch>("s", [], []),
    ];
    assert.equal(find(routes, { path: "/" }), "r0");
    assert.equal(find(routes, { method: "PUT", path: "/" }), "r1");
  });

  test("a request without a path is taken by whatever asks for none", () => {
    assert.equal(find([route<HttpMatch>("r", [], [])], { method: "CONNECT", authority: "a:1" }), "r0");
    assert.equal(find([route("r", [], [exact("/")])], { method: "CONNECT", authority: "a:1" }), undefined);
  });

  test("tells how much of the path a prefix matched", () => {
    const table = httpRouteTable([
      route("r", [], [prefix("/foo/")], [exact("/bar")], [pattern("/baz/.*")], [prefix("/")]),
    ]);
    assert.equal(table.find(request({ path: "/foo/x" }))?.prefixLength, 4);
    assert.equal(table.find(request({ path: "/bar" }))?.prefixLength, undefined);
    assert.equal(table.find(request({ path: "/baz/x" }))?.prefixLength, undefined);
    assert.equal(table.find(request({ path: "/x" }))?.prefixLength, 1);
  });
});

describe("conditions", () => {
  const name = headerName("x-test");
  const header = (value: string): HttpMatch => httpMatch({ headers: [{ kind: "exact", name, value }] });
  const headerPattern = (source: string): HttpMatch =>
    httpMatch({ headers: [{ kind: "regex", name, regex: regex(source) }] });
  const cases: readonly (readonly [what: string, match: HttpMatch, text: RequestText, matches: boolean])[] = [
    ["the header value", header("a"), { headers: [["x-test", "a"]] }, true],
    ["another header value", header("a"), { headers: [["x-test", "b"]] }, false],
    [
      "a repeated header, first",
      header("a"),
      {
        headers: [
          ["x-test", "a"],
          ["x-test", "b"],
        ],
      },
      true,
    ],
    [
      "a repeated header, last",
      header("a"),
      {
        headers: [
          ["x-test", "b"],
          ["x-test", "a"],
        ],
      },
      true,
    ],
    ["a comma list", header("a"), { headers: [["x-test", "a, b"]] }, false],
    ["another header", header("a"), { headers: [["x-other", "a"]] }, false],
    ["bytes", header("\u00e9"), { headers: [["x-test", "\u00e9"]] }, true],
    [
      "a header by pattern",
      headerPattern("a+"),
      {
        headers: [
          ["x-test", "b"],
          ["x-test", "aaa"],
        ],
      },
      true,
    ],
    ["part of a header by pattern", headerPattern("a+"), { headers: [["x-test", "aab"]] }, false],
    ["bytes by pattern", headerPattern(".*"), { headers: [["x-test", "\u00e9"]] }, false],
    [
      "the query",
      httpMatch({ query: [{ kind: "exact", name: "q", value: "a b" }] }),
      { path: "/?p=1&q=a+b" },
      true,
    ],
    ["no query", httpMatch({ query: [{ kind: "exact", name: "q", value: "" }] }), { path: "/" }, false],
    [
      "the query by pattern",
      httpMatch({ query: [{ kind: "regex", name: "q", regex: regex("[0-9]+") }] }),
      { path: "/?q=x&q=12" },
      true,
    ],
    [
      "a prototype name",
      httpMatch({ query: [{ kind: "exact", name: "__proto__", value: "1" }] }),
      { path: "/?__proto__=1" },
      true,
    ],
    ["the method", httpMatch({ method: "BREW" }), { method: "BREW" }, true],
    ["the method in other case", httpMatch({ method: "GET" }), { method: "get" }, false],
    [
      "a method override",
      httpMatch({ method: "PUT" }),
      { headers: [["x-http-method-override", "PUT"]] },
      false,
    ],
  ];
  for (const [what, match, text, matches] of cases) {
    test(`${matches ? "takes" : "does not take"} ${what}`, () => {
      assert.equal(find([route("r", [], [match])], { path: "/", ...text }), matches ? "r0" : undefined);
    });
  }

  test("all conditions of a match must hold, one match of a rule is enough", () => {
    const both = httpMatch({ method: "GET", headers: [{ kind: "exact", name, value: "a" }] });
    const routes = [route("r", [], [both, exact("/x")])];
    assert.equal(find(routes, { path: "/", headers: [["x-test", "a"]] }), "r0");
    assert.equal(find(routes, { path: "/" }), undefined);
    assert.equal(find(routes, { path: "/x", method: "PUT" }), "r0");
  });

  test("more headers win over more query parameters, these over a method", () => {
    const query = [{ kind: "exact", name: "q", value: "1" }] as const;
    const headers = [{ kind: "exact", name, value: "a" }] as const;
    const routes = [
      route(
        "r",
        [],
        [httpMatch({})],
        [httpMatch({ method: "GET" })],
        [httpMatch({ query })],
        [httpMatch({ headers })],
      ),
    ];
    const all: RequestText = { path: "/?q=1", headers: [["x-test", "a"]] };
    assert.equal(find(routes, all), "r3");
    assert.equal(find(routes, { ...all, headers: [] }), "r2");
    assert.equal(find(routes, { path: "/" }), "r1");
    assert.equal(find(routes, { path: "/", method: "PUT" }), "r0");
  });

  test("a value too long for its pattern finds no route rather than a wider rule", () => {
    const narrow = pattern("/admin(?:/[a-z]+){50}.*");
    const limit = narrow.path?.kind === "regex" ? narrow.path.regex.maxLength : 0;
    const routes = [route("r", [], [prefix("/")], [narrow])];
    assert.equal(find(routes, { path: `/${"a".repeat(limit)}` }), undefined);
    assert.equal(find(routes, { path: "/a" }), "r0");
    const decided = [route("r", [], [narrow], [exact(`/${"a".repeat(limit)}`)])];
    assert.equal(
      find(decided, { path: `/${"a".repeat(limit)}` }),
      undefined,
      "equal rank: the earlier one decides",
    );
    const other = [route("r", [], [httpMatch({ ...narrow, method: "PUT" })], [prefix("/")])];
    assert.equal(find(other, { path: `/${"a".repeat(limit)}` }), "r1", "another condition already fails");
  });
});

test("gives the same object for the same match, without looking where there is no choice", () => {
  const one = httpRouteTable([route<HttpMatch>("r", [], [prefix("/")])]);
  assert.equal(one.find(request({ path: "/a" })), one.find(request({ path: "/b", authority: "x" })));
  const two = httpRouteTable([route<HttpMatch>("r", [], [prefix("/a")], [])]);
  assert.equal(two.find(request({ path: "/a" })), two.find(request({ path: "/a/b" })));
  assert.notEqual(two.find(request({ path: "/a" })), two.find(request({ path: "/b" })));
});

test("finds nothing where there are no routes", () => {
  assert.equal(httpRouteTable([]).find(request({ path: "/" })), undefined);
  assert.equal(grpcRouteTable([]).find(request({ method: "POST", path: "/a/b" })), undefined);
});

describe("gRPC", () => {
  const rpc = (
    service: string | undefined,
    method: string | undefined,
    headers: GrpcMatch["headers"] = [],
  ): GrpcMatch => ({
    service,
    method,
    headers,
  });
  const findRpc = (routes: readonly NamedRoute<GrpcMatch>[], text: RequestText): string | undefined =>
    grpcRouteTable(routes).find(request({ method: "POST", ...text }))?.rule.name;

  test("prefers the service, then the method, then headers", () => {
    const headers = [{ kind: "exact", name: headerName("x-test"), value: "a" }] as const;
    const routes = [
      route(
        "r",
        [],
        [rpc(undefined, undefined)],
        [rpc(undefined, "Get")],
        [rpc("shop.Cart", undefined)],
        [rpc("shop.Cart", "Get")],
        [rpc("shop.Cart", undefined, headers)],
      ),
    ];
    assert.equal(findRpc(routes, { path: "/other/Put" }), "r0");
    assert.equal(findRpc(routes, { path: "/other/Get" }), "r1");
    assert.equal(findRpc(routes, { path: "/shop.Cart/Put" }), "r2");
    assert.equal(findRpc(routes, { path: "/shop.Cart/Get", headers: [["x-test", "a"]] }), "r3");
    assert.equal(findRpc(routes, { path: "/shop.Cart/Put", headers: [["x-test", "a"]] }), "r4");
  });

  test("an empty service and method match anything", () => {
    assert.equal(findRpc([route("r", [], [rpc("", "")])], { path: "/a/b" }), "r0");
  });

  for (const text of [
    { method: "GET", path: "/a/b" },
    { path: "/a" },
    { path: "/a/" },
    { path: "//b" },
    { path: "/a/b/c" },
    { path: "a/b" },
    { path: "/" },
    {},
  ]) {
    test(`does not take ${JSON.stringify(text)}`, () => {
      assert.equal(findRpc([route<GrpcMatch>("r", [], [])], text), undefined);
    });
  }
});

describe("precedence", () => {
  const segment = fc.constantFrom("a", "b");
  const path = fc.array(segment, { minLength: 1, maxLength: 3 }).map((s) => `/${s.join("/")}`);
  const pathMatch: fc.Arbitrary<PathMatch | undefined> = fc.oneof(
    path.map((p) => ({ kind: "exact", path: p }) as const),
    path.map((p) => ({ kind: "prefix", prefix: p }) as const),
    fc.constant({ kind: "regex", regex: regex("/a.*") } as const),
    fc.constant(undefined),
  );
  const match = fc
    .record({ path: pathMatch, method: fc.constantFrom(undefined, "GET") })
    .map((conditions) => httpMatch(conditions));
  const host = fc.constantFrom<HostMatch[]>([], [exactHost("a.b")], [suffixHost("b")]);
  const oneRule = fc.tuple(host, match);

  test("of two rules of different rank the same one wins in either order, of equal rank the first", () => {
    fc.assert(
      fc.property(oneRule, oneRule, path, ([hostsA, a], [hostsB, b], target) => {
        const text = { authority: "a.b", path: target };
        const first = find([route("a", hostsA, [a]), route("b", hostsB, [b])], text);
        const second = find([route("b", hostsB, [b]), route("a", hostsA, [a])], text);
        const alone = [find([route("a", hostsA, [a])], text), find([route("b", hostsB, [b])], text)];
        if (alone.includes(undefined)) {
          assert.equal(first, second);
          assert.equal(first, alone[0] ?? alone[1]);
        } else if (first !== second) {
          assert.equal(first, "a0", "a tie goes to whoever is first");
          assert.equal(second, "b0");
        }
      }),
    );
  });

  test("a rule that does not match changes nothing", () => {
    fc.assert(
      fc.property(fc.array(oneRule, { maxLength: 4 }), path, fc.nat(4), (rules, target, at) => {
        const routes = rules.map(([hosts, m], i) => route(`r${i}-`, hosts, [m]));
        const text = { authority: "a.b", path: target };
        const before = find(routes, text);
        const more = routes.toSpliced(Math.min(at, routes.length), 0, route("never", [], [exact("/zzz")]));
        assert.equal(find(more, text), before);
      }),
    );
  });
});
