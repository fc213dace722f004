import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import {
  ADDR,
  BOOL,
  DNS_SUFFIXES,
  DURATION,
  DURATION_OR_NONE,
  FLOAT,
  FORWARDS,
  IDENTITY,
  IP_SET,
  NETWORKS,
  PORT_RANGES,
  SIZE,
  SOCKET_ADDR,
  SOCKET_ADDRS,
  UINT32,
  UNSAFE,
  type Grammar,
} from "../../src/config/parse.ts";

interface Case {
  readonly name: string;
  readonly grammar: Grammar<unknown>;
  readonly good: readonly (readonly [string, unknown])[];
  readonly bad: readonly string[];
}

/** Compares values whose shape is spelled out, and addresses by what they print as. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, v: unknown) => (v instanceof Uint8Array ? undefined : v)) ?? "null",
  );
}

const ip = (text: string) => ({ version: text.includes(":") ? 6 : 4, text });

const CASES: readonly Case[] = [
  {
    name: "bool",
    grammar: BOOL,
    good: [
      ["true", true],
      ["false", false],
    ],
    bad: ["", "True", "1", "yes", " true", "false "],
  },
  {
    name: "uint32",
    grammar: UINT32,
    good: [
      ["0", 0],
      ["+7", 7],
      ["007", 7],
      ["4294967295", 4294967295],
    ],
    bad: ["", "-1", "4294967296", "1_000", " 1", "1.0", "0x10", "ten"],
  },
  {
    name: "size",
    grammar: SIZE,
    good: [
      ["10000", 10000],
      ["9007199254740991", 9007199254740991],
    ],
    bad: ["", "9007199254740992", "18446744073709551616", "-0"],
  },
  {
    name: "float",
    grammar: FLOAT,
    good: [
      ["0.1", 0.1],
      ["1e2", 100],
      ["1.", 1],
      [".5", 0.5],
      ["-1", -1],
    ],
    bad: ["", ".", "1e", "0,1", "NaN", "inf"],
  },
  {
    name: "duration",
    grammar: DURATION,
    good: [
      ["10s", 10_000],
      ["500ms", 500],
      ["2m", 120_000],
      ["1h", 3_600_000],
      ["365d", 31_536_000_000],
      ["0", 0],
      [" 1s ", 1000],
    ],
    bad: ["", "10", "1.5s", "1m30s", "10 s", "s", "-1s", "1S", "1us", "99999999999999999d"],
  },
  {
    name: "duration or none",
    grammar: DURATION_OR_NONE,
    good: [
      ["", undefined],
      ["5m", 300_000],
    ],
    bad: [" ", "5"],
  },
  {
    name: "socket address",
    grammar: SOCKET_ADDR,
    good: [
      ["127.0.0.1:4140", { ip: ip("127.0.0.1"), port: 4140 }],
      ["[::1]:0", { ip: ip("::1"), port: 0 }],
    ],
    bad: ["", "127.0.0.1", "localhost:80", "127.0.0.1:65536", "::1:80", "127.0.0.1:", "127.0.0.1:4140 "],
  },
  {
    name: "socket addresses",
    grammar: SOCKET_ADDRS,
    good: [
      ["127.0.0.1:1", [{ ip: ip("127.0.0.1"), port: 1 }]],
      [
        "127.0.0.1:1,[::1]:2",
        [
          { ip: ip("127.0.0.1"), port: 1 },
          { ip: ip("::1"), port: 2 },
        ],
      ],
    ],
    bad: ["", "127.0.0.1:1, [::1]:2", "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3", "127.0.0.1:1,"],
  },
  {
    name: "address",
    grammar: ADDR,
    good: [
      ["Web.shop:80", { kind: "name", name: { name: "web.shop", port: 80 } }],
      ["localhost.:8086", { kind: "name", name: { name: "localhost.", port: 8086 } }],
      ["192.0.2.1:1", { kind: "socket", socket: { ip: ip("192.0.2.1"), port: 1 } }],
    ],
    bad: ["", "web", "web:", "web:http", "-web:80", "a b:80"],
  },
  {
    name: "identity",
    grammar: IDENTITY,
    good: [
      ["web.ns", { kind: "dns", text: "web.ns" }],
      ["spiffe://td/web", { kind: "uri", text: "spiffe://td/web" }],
    ],
    bad: ["", "web.ns.", "a b"],
  },
  {
    name: "ip set",
    grammar: IP_SET,
    good: [
      ["192.0.2.1", [ip("192.0.2.1")]],
      ["192.0.2.1,2001:db8::1", [ip("192.0.2.1"), ip("2001:db8::1")]],
    ],
    bad: ["", "192.0.2.1, 192.0.2.2", "192.0.2.0/24", "192.0.2.1,", "web"],
  },
  {
    name: "networks",
    grammar: NETWORKS,
    good: [
      ["", []],
      [
        " 10.0.0.0/8 ,, fd00::/8,",
        [
          { ip: ip("10.0.0.0"), prefix: 8 },
          { ip: ip("fd00::"), prefix: 8 },
        ],
      ],
    ],
    bad: ["10.0.0.0", "10.0.0.0/33", "web/8"],
  },
  {
    name: "dns suffixes",
    grammar: DNS_SUFFIXES,
    good: [
      ["", []],
      [".", ["."]],
      [" svc.cluster.local. ,A.b", ["svc.cluster.local.", "a.b"]],
    ],
    bad: ["-a", "a..b", "*.a"],
  },
  {
    name: "port ranges",
    grammar: PORT_RANGES,
    good: [
      ["", []],
      [
        "25, 4000 - 4100,",
        [
          { low: 25, high: 25 },
          { low: 4000, high: 4100 },
        ],
      ],
    ],
    bad: ["2-1", "70000", "1-2-3", "x"],
  },
  {
    name: "unsafe",
    grammar: UNSAFE,
    good: [
      ["", false],
      ["unsafe", true],
      ["UNSAFE", true],
    ],
    bad: ["true", "safe"],
  },
  {
    name: "forwards",
    grammar: FORWARDS,
    good: [
      ["", []],
      [
        "127.0.0.1:15432=db.shop:5432, [::1]:0=192.0.2.1:9",
        [
          {
            listen: { ip: ip("127.0.0.1"), port: 15432 },
            target: { kind: "name", name: { name: "db.shop", port: 5432 } },
          },
          {
            listen: { ip: ip("::1"), port: 0 },
            target: { kind: "socket", socket: { ip: ip("192.0.2.1"), port: 9 } },
          },
        ],
      ],
    ],
    bad: ["127.0.0.1:1", "=db:1", "127.0.0.1:1=", "127.0.0.1:1=db", "db:1=db:2"],
  },
];

describe("the grammars of variables", () => {
  for (const { name, grammar, good, bad } of CASES) {
    for (const [text, value] of good) {
      it(`${name} takes ${JSON.stringify(text)}`, () => {
        const result = grammar.parse(text);
        assert.ok(result.ok, result.ok ? "" : result.problem);
        assert.deepEqual(plain(result.value), plain(value));
      });
    }
    for (const text of bad) {
      it(`${name} refuses ${JSON.stringify(text)} with a reason`, () => {
        const result = grammar.parse(text);
        assert.ok(!result.ok);
        assert.match(result.problem, /\S/);
      });
    }
  }

  it("reads back every whole duration in any unit", () => {
    const units = new Map([
      ["ms", 1],
      ["s", 1000],
      ["m", 60_000],
      ["h", 3_600_000],
      ["d", 86_400_000],
    ]);
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.constantFrom(...units.keys()), (count, unit) => {
        const result = DURATION.parse(`${count}${unit}`);
        return result.ok && result.value === count * (units.get(unit) ?? NaN);
      }),
    );
  });
});
