import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasDnsSuffix, parseDnsName, withoutTrailingDot } from "../../src/addr/dns-name.ts";
import { formatAddr, isLoopbackAddr, parseAddr, splitHostPort } from "../../src/addr/name-addr.ts";
import { parsePortRanges, portRangesContain } from "../../src/addr/port-ranges.ts";
import { parsePort } from "../../src/addr/port.ts";
import { formatSocketAddr, parseSocketAddr } from "../../src/addr/socket-addr.ts";

const label63 = "a".repeat(63);

describe("DNS names", () => {
  const good: readonly (readonly [text: string, name: string])[] = [
    ["web", "web"],
    ["Web.Shop.SVC", "web.shop.svc"],
    ["web.", "web."],
    ["_grpc._tcp.web", "_grpc._tcp.web"],
    ["a-b.c--d", "a-b.c--d"],
    ["1.web", "1.web"],
    [`${label63}.web`, `${label63}.web`],
  ];
  for (const [text, name] of good) {
    test(`reads ${text.slice(0, 20)}`, () => assert.deepEqual(parseDnsName(text), { ok: true, value: name }));
  }
  const bad = [
    "",
    ".",
    "..",
    "a..b",
    ".a",
    "-a",
    "a-",
    "*",
    "*.a",
    "a b",
    "é",
    "a.1",
    "192.0.2.1",
    `${label63}a`,
    "a/b",
    "a:1",
  ];
  for (const text of [...bad, Array(64).fill("abc").join(".")]) {
    test(`refuses "${text.slice(0, 20)}"`, () => assert.ok(!parseDnsName(text).ok));
  }

  test("at most 253 bytes, the trailing dot not counted", () => {
    const name = [label63, label63, label63, "a".repeat(61)].join(".");
    assert.equal(name.length, 253);
    assert.ok(parseDnsName(name).ok);
    assert.ok(parseDnsName(`${name}.`).ok);
    assert.ok(!parseDnsName(`${name}a`).ok);
  });

  test("a hostile name costs little time", () => {
    const start = performance.now();
    parseDnsName("-".repeat(1_000_000));
    parseDnsName(`${"a-".repeat(125)}.`);
    parseDnsName(".".repeat(250));
    assert.ok(performance.now() - start < 100);
  });

  test("suffixes match at label boundaries, dots at the end aside", () => {
    const cases: readonly (readonly [name: string, suffix: string, has: boolean])[] = [
      ["web.svc.local", "svc.local", true],
      ["web.svc.local.", "svc.local", true],
      ["web.svc.local", "svc.local.", true],
      ["svc.local", "svc.local", true],
      ["websvc.local", "svc.local", false],
      ["local", "svc.local", false],
      ["anything", ".", true],
    ];
    for (const [name, suffix, has] of cases)
      assert.equal(hasDnsSuffix(name, suffix), has, `${name} ${suffix}`);
    assert.equal(withoutTrailingDot("a."), "a");
    assert.equal(withoutTrailingDot("a"), "a");
  });
});

describe("addresses", () => {
  const good: readonly (readonly [
    text: string,
    defaultPort: number | undefined,
    formatted: string,
    kind: string,
  ])[] = [
    ["web.svc:80", undefined, "web.svc:80", "name"],
    ["WEB.svc.:80", undefined, "web.svc:80", "name"],
    ["web", 80, "web:80", "name"],
    ["web:81", 80, "web:81", "name"],
    ["192.0.2.1:80", undefined, "192.0.2.1:80", "socket"],
    ["192.0.2.1", 443, "192.0.2.1:443", "socket"],
    ["[2001:DB8::1]:80", undefined, "[2001:db8::1]:80", "socket"],
    ["[::1]", 80, "[::1]:80", "socket"],
    ["[::ffff:192.0.2.1]:80", undefined, "192.0.2.1:80", "socket"],
  ];
  for (const [text, defaultPort, formatted, kind] of good) {
    test(`reads ${text}`, () => {
      const addr = parseAddr(text, defaultPort);
      assert.ok(addr.ok);
      assert.equal(addr.value.kind, kind);
      assert.equal(formatAddr(addr.value), formatted);
    });
  }
  for (const text of [
    "",
    "web",
    "web:",
    "web:x",
    "web:65536",
    ":80",
    "::1",
    "::1:80",
    "[::1",
    "[::1]80",
    "[::1]:",
    "a b:80",
    "http://web:80",
  ]) {
    test(`refuses "${text}"`, () => assert.ok(!parseAddr(text).ok));
  }
  for (const text of ["[192.0.2.1]:80", "[web]:80"]) {
    test(`refuses "${text}": brackets are for IPv6`, () => {
      assert.ok(!parseAddr(text).ok);
      assert.ok(!parseSocketAddr(text).ok);
    });
  }

  test("loopback is a loopback address or localhost with its dot", () => {
    const loopback = (text: string): boolean => {
      const addr = parseAddr(text);
      return addr.ok && isLoopbackAddr(addr.value);
    };
    assert.deepEqual(["127.0.0.1:1", "[::1]:1", "localhost.:1"].map(loopback), [true, true, true]);
    assert.deepEqual(["localhost:1", "192.0.2.1:1"].map(loopback), [false, false]);
  });

  test("splitting takes the brackets off", () => {
    assert.deepEqual(splitHostPort("[::1]:80"), { ok: true, value: { host: "::1", portText: "80" } });
    assert.deepEqual(splitHostPort("web"), { ok: true, value: { host: "web", portText: undefined } });
    assert.deepEqual(splitHostPort("web:"), { ok: true, value: { host: "web", portText: "" } });
  });
});

describe("socket addresses", () => {
  for (const text of ["192.0.2.1:80", "[2001:db8::1]:65535", "0.0.0.0:0"]) {
    test(`reads and writes ${text}`, () => {
      const addr = parseSocketAddr(text);
      assert.ok(addr.ok);
      assert.equal(formatSocketAddr(addr.value), text);
    });
  }
  for (const text of [
    "192.0.2.1",
    "::1",
    "::1:80",
    "[::1]",
    "web:80",
    "192.0.2.1:",
    "192.0.2.1:080",
    ":80",
    "[]:80",
  ]) {
    test(`refuses "${text}"`, () => assert.ok(!parseSocketAddr(text).ok));
  }
});

describe("ports", () => {
  test("are 0 to 65535 in plain decimal", () => {
    assert.deepEqual(parsePort("0"), { ok: true, value: 0 });
    assert.deepEqual(parsePort("65535"), { ok: true, value: 65535 });
    for (const text of ["", "65536", "-1", "+1", "01", "1.0", "0x10", " 1", "1e3", "99999999999"]) {
      assert.ok(!parsePort(text).ok, text);
    }
  });

  test("ranges are inclusive, blanks and empty items do not matter", () => {
    const ranges = parsePortRanges(" 80 , 8080-8090,,25 - 26 ,");
    assert.ok(ranges.ok);
    const inside = [25, 26, 80, 8080, 8085, 8090];
    for (const port of inside) assert.ok(portRangesContain(ranges.value, port), String(port));
    for (const port of [24, 27, 79, 81, 8079, 8091]) assert.ok(!portRangesContain(ranges.value, port));
    assert.deepEqual(parsePortRanges(""), { ok: true, value: [] });
  });

  for (const text of ["90-80", "80-", "-80", "1-2-3", "x", "80;81", "65536"]) {
    test(`refuses the range "${text}"`, () => assert.ok(!parsePortRanges(text).ok));
  }
});
