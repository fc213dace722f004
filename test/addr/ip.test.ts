import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { cidrContains, formatCidr, parseCidr, type Cidr } from "../../src/addr/cidr.ts";
import { ipFromBytes, isLoopback, isUnspecified, parseIp, type Ip } from "../../src/addr/ip.ts";

function ip(text: string): Ip {
  const result = parseIp(text);
  assert.ok(result.ok, text);
  return result.value;
}

function cidr(text: string): Cidr {
  const result = parseCidr(text);
  assert.ok(result.ok, text);
  return result.value;
}

describe("parseIp", () => {
  const cases: readonly (readonly [text: string, canonical: string])[] = [
    ["192.0.2.1", "192.0.2.1"],
    ["0.0.0.0", "0.0.0.0"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:0db8::0001", "2001:db8::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:c000:0201", "192.0.2.1"],
    ["::192.0.2.1", "::c000:201"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["::ffff:0:192.0.2.1", "::ffff:0:c000:201"],
  ];
  for (const [text, canonical] of cases) {
    test(`reads ${text} as ${canonical}`, () => {
      assert.equal(ip(text).text, canonical);
      assert.equal(ip(text).version, canonical.includes(":") ? 6 : 4);
    });
  }

  for (const text of [
    "",
    "192.0.2",
    "192.0.2.256",
    "192.0.2.01",
    "1.2.3.4.5",
    "::g",
    ":::",
    "fe80::1%eth0",
    "[::1]",
    " ::1",
    "web",
  ]) {
    test(`refuses "${text}"`, () => assert.ok(!parseIp(text).ok));
  }

  test("every address is written so that it is read as the same bytes", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.array(fc.constantFrom(0, 0, 0, 1), { minLength: 16, maxLength: 16 }).map((b) => Uint8Array.from(b)),
    );
    fc.assert(
      fc.property(bytes, (b) => {
        const address = ipFromBytes(b);
        const again = ip(address.text);
        assert.deepEqual([...again.bytes], [...address.bytes]);
        assert.equal(again.text, address.text);
      }),
    );
  });

  test("an address has 4 or 16 bytes", () => {
    assert.throws(() => ipFromBytes(new Uint8Array(5)), RangeError);
  });

  test("knows loopback and the unspecified addresses", () => {
    assert.deepEqual(
      ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].map((t) => isLoopback(ip(t))),
      Array(4).fill(true),
    );
    assert.deepEqual(
      ["128.0.0.1", "::", "::2"].map((t) => isLoopback(ip(t))),
      Array(3).fill(false),
    );
    assert.deepEqual(
      ["0.0.0.0", "::", "::1", "0.0.0.1"].map((t) => isUnspecified(ip(t))),
      [true, true, false, false],
    );
  });
});

describe("CIDR", () => {
  for (const text of [
    "10.0.0.0",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/+8",
    "10.0.0.0/8 ",
    "10.0.0.0/8/8",
    "::/129",
    "x/8",
    "/8",
  ]) {
    test(`refuses "${text}"`, () => assert.ok(!parseCidr(text).ok));
  }

  test("is written as it was read", () => {
    assert.equal(formatCidr(cidr("2001:DB8::/32")), "2001:db8::/32");
  });

  test("the prefix of an IPv4-mapped block counts the bits of the IPv4 address it becomes", () => {
    const block = cidr("::ffff:10.0.0.0/104");
    assert.equal(formatCidr(block), "10.0.0.0/8");
    assert.ok(cidrContains(block, ip("10.9.9.9")));
    assert.ok(!cidrContains(block, ip("11.0.0.0")));
    assert.ok(!parseCidr("::ffff:10.0.0.0/95").ok);
  });

  test("agrees with counting bits", () => {
    const sized = (length: number) =>
      fc.tuple(
        fc.uint8Array({ minLength: length, maxLength: length }),
        fc.uint8Array({ minLength: length, maxLength: length }),
        fc.nat(length * 8),
        fc.boolean(),
      );
    const bits = (b: Uint8Array): string => [...b].map((x) => x.toString(2).padStart(8, "0")).join("");
    fc.assert(
      fc.property(fc.oneof(sized(4), sized(16)), ([net, other, prefix, near]) => {
        // Half of the cases differ from the block in one bit at most, else hardly any would be inside.
        const address = near ? Uint8Array.from(net) : other;
        if (near) {
          const at = (other[0] ?? 0) % address.length;
          address[at] = (address[at] ?? 0) ^ (1 << ((other[1] ?? 0) % 8));
        }
        const block = { ip: ipFromBytes(net), prefix };
        const client = ipFromBytes(address);
        if (block.ip.bytes.length !== net.length || client.bytes.length !== address.length) return;
        const inside = bits(net).slice(0, prefix) === bits(address).slice(0, prefix);
        assert.equal(cidrContains(block, client), inside);
      }),
    );
  });

  test("blocks of one version contain no address of the other", () => {
    assert.ok(!cidrContains(cidr("0.0.0.0/0"), ip("::1")));
    assert.ok(!cidrContains(cidr("::/0"), ip("127.0.0.1")));
    assert.ok(cidrContains(cidr("0.0.0.0/0"), ip("::ffff:127.0.0.1")));
  });
});
