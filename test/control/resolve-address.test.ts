import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAddr, type Addr } from "../../src/addr/name-addr.ts";
import { formatSocketAddr } from "../../src/addr/socket-addr.ts";
import { resolveAddress, type Dns } from "../../src/control/resolve-address.ts";

function addr(text: string): Addr {
  const result = parseAddr(text);
  return result.ok ? result.value : assert.fail(result.problem);
}
const noAnswer = (): Promise<never> => Promise.reject(new Error("queryA ENOTFOUND"));
const silent: Dns = { srv: noAnswer, addresses: noAnswer };
const resolve = async (text: string, dns: Partial<Dns> = {}) =>
  (await resolveAddress(addr(text), { ...silent, ...dns })).map(formatSocketAddr);

const SERVICE = "linkerd-dst-headless.linkerd.svc.cluster.local.:8086";
const target = (label: string, port = 9000) => ({ name: `${label}.linkerd-dst-headless.linkerd`, port });

describe("the address of a control-plane service", () => {
  it("is itself when it is an address", async () => {
    assert.deepEqual(await resolve("192.0.2.1:8086"), ["192.0.2.1:8086"]);
    assert.deepEqual(await resolve("[2001:db8::1]:8086"), ["[2001:db8::1]:8086"]);
  });
  it("is loopback for localhost with its dot, without asking", async () => {
    assert.deepEqual(await resolve("localhost.:8086"), ["127.0.0.1:8086"]);
    assert.deepEqual(await resolve("LOCALHOST.:8086"), ["127.0.0.1:8086"]);
  });
  it("stands in the targets of SRV records, with their port", async () => {
    const srv: Dns["srv"] = (name) => {
      assert.equal(name, "linkerd-dst-headless.linkerd.svc.cluster.local");
      return Promise.resolve([target("10-42-1-15"), target("2001-db8--1", 9001)]);
    };
    assert.deepEqual(await resolve(SERVICE, { srv }), ["10.42.1.15:9000", "[2001:db8::1]:9001"]);
  });
  const fallbacks: readonly (readonly [string, Dns["srv"]])[] = [
    ["there is no SRV record", noAnswer],
    ["the SRV answer is empty", () => Promise.resolve([])],
    ["a target is no address", () => Promise.resolve([target("10-42-1-15"), target("web-0")])],
  ];
  for (const [name, srv] of fallbacks) {
    it(`is asked for by name, with the configured port, where ${name}`, async () => {
      const addresses = () => Promise.resolve(["192.0.2.7", "2001:db8::7"]);
      assert.deepEqual(await resolve(SERVICE, { srv, addresses }), ["192.0.2.7:8086", "[2001:db8::7]:8086"]);
    });
  }
  it("is an error that names the name where nobody knows it", async () => {
    await assert.rejects(
      resolve(SERVICE),
      /resolving linkerd-dst-headless\.linkerd\.svc\.cluster\.local: queryA/,
    );
    await assert.rejects(resolve(SERVICE, { addresses: () => Promise.resolve([]) }), /no addresses/);
  });
});
