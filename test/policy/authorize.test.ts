import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseCidr, type Cidr } from "../../src/addr/cidr.ts";
import { authorize, type ServerTlsView } from "../../src/policy/authorize.ts";
import {
  DEFAULT_POLICY_NAMES,
  defaultServerPolicy,
  isAudited,
  LOCALHOST_AUTHORIZATION,
  opaqueServerPolicy,
} from "../../src/policy/default-policies.ts";
import { metaDefault, metaName } from "../../src/policy/meta.ts";
import type { Authentication, Authorization } from "../../src/policy/server-policy.ts";
import { ip } from "./requests.ts";

function cidr(text: string): Cidr {
  const result = parseCidr(text);
  assert.ok(result.ok);
  return result.value;
}

const NO_TLS: ServerTlsView = { kind: "none" };
const PASSTHRU: ServerTlsView = { kind: "passthru" };
const ANONYMOUS: ServerTlsView = { kind: "established", clientId: undefined };
const dns = (text: string): ServerTlsView => ({ kind: "established", clientId: { kind: "dns", text } });
const uri = (text: string): ServerTlsView => ({ kind: "established", clientId: { kind: "uri", text } });

function authorization(
  name: string,
  net: string,
  except: readonly string[],
  authentication: Authentication,
): Authorization {
  return {
    meta: metaDefault(name),
    networks: [{ net: cidr(net), except: except.map(cidr) }],
    authentication,
  };
}

const ANYBODY: Authentication = { kind: "unauthenticated" };
const ANY_TLS: Authentication = { kind: "tls_unauthenticated" };
const known = (identities: readonly string[], suffixes: readonly string[] = []): Authentication => ({
  kind: "tls_authenticated",
  identities: new Set(identities),
  suffixes,
});

describe("networks", () => {
  const cases: readonly (readonly [
    net: string,
    except: readonly string[],
    client: string,
    holds: boolean,
  ])[] = [
    ["10.0.0.0/8", [], "10.1.2.3", true],
    ["10.0.0.0/8", [], "11.0.0.1", false],
    ["10.0.0.0/8", ["10.1.0.0/16"], "10.1.2.3", false],
    ["10.0.0.0/8", ["10.1.0.0/16", "10.2.0.0/16"], "10.2.0.1", false],
    ["10.0.0.0/8", ["10.1.0.0/16"], "10.3.2.3", true],
    ["10.0.0.0/8", [], "::ffff:10.1.2.3", true],
    ["0.0.0.0/0", [], "2001:db8::1", false],
    ["::/0", [], "192.0.2.1", false],
    ["2001:db8::/32", [], "2001:db8:1::1", true],
    ["192.0.2.1/32", [], "192.0.2.1", true],
    ["192.0.2.1/32", [], "192.0.2.0", false],
  ];
  for (const [net, except, client, holds] of cases) {
    test(`${net} without [${except.join()}] ${holds ? "holds" : "does not hold"} for ${client}`, () => {
      const found = authorize([authorization("a", net, except, ANYBODY)], { ip: ip(client), tls: NO_TLS });
      assert.equal(found !== undefined, holds);
    });
  }
});

describe("authentication", () => {
  const web = "web.shop.serviceaccount.identity.linkerd.cluster.local";
  const spiffe = "spiffe://root.linkerd.cluster.local/web";
  const cases: readonly (readonly [
    what: string,
    asked: Authentication,
    tls: ServerTlsView,
    holds: boolean,
  ])[] = [
    ["nothing of clear text", ANYBODY, NO_TLS, true],
    ["mesh TLS of clear text", ANY_TLS, NO_TLS, false],
    ["mesh TLS of foreign TLS", ANY_TLS, PASSTHRU, false],
    ["mesh TLS of a client without identity", ANY_TLS, ANONYMOUS, true],
    ["an identity of clear text", known([], [""]), NO_TLS, false],
    ["an identity of foreign TLS", known([], [""]), PASSTHRU, false],
    ["an identity of a client without one", known([], [""]), ANONYMOUS, false],
    ["its identity", known([web]), dns(web), true],
    ["another identity", known([web]), dns("api.shop.serviceaccount.identity.linkerd.cluster.local"), false],
    ["its suffix", known([], [".shop.serviceaccount.identity.linkerd.cluster.local"]), dns(web), true],
    ["another suffix", known([], [".pay.serviceaccount.identity.linkerd.cluster.local"]), dns(web), false],
    ["any suffix", known([], [""]), dns(web), true],
    ["any suffix of a URI", known([], [""]), uri(spiffe), false],
    ["the URI's own end as suffix", known([], ["/web"]), uri(spiffe), false],
    ["its URI", known([spiffe]), uri(spiffe), true],
    ["no identity at all", known([]), dns(web), false],
  ];
  for (const [what, asked, tls, holds] of cases) {
    test(`asking for ${what} ${holds ? "holds" : "does not hold"}`, () => {
      const found = authorize([authorization("a", "0.0.0.0/0", [], asked)], { ip: ip("192.0.2.1"), tls });
      assert.equal(found !== undefined, holds);
    });
  }
});

test("the first authorization that holds is the one", () => {
  const list = [
    authorization("elsewhere", "10.0.0.0/8", [], ANYBODY),
    authorization("meshed", "0.0.0.0/0", [], ANY_TLS),
    authorization("all", "0.0.0.0/0", [], ANYBODY),
  ];
  const found = (tls: ServerTlsView): string | undefined =>
    authorize(list, { ip: ip("192.0.2.1"), tls })?.meta.name;
  assert.equal(found(ANONYMOUS), "meshed");
  assert.equal(found(NO_TLS), "all");
});

describe("default policies", () => {
  const params = { detectTimeoutMs: 10_000, clusterNetworks: [cidr("10.0.0.0/8")] };
  const clients = [
    { name: "near, clear", ip: ip("10.0.0.1"), tls: NO_TLS },
    { name: "near, meshed", ip: ip("10.0.0.1"), tls: dns("web.local") },
    { name: "far, clear", ip: ip("2001:db8::1"), tls: NO_TLS },
    { name: "far, meshed", ip: ip("192.0.2.1"), tls: dns("web.local") },
    { name: "near, spiffe", ip: ip("10.0.0.1"), tls: uri("spiffe://a/b") },
  ];
  const allowed: Readonly<Record<string, readonly string[]>> = {
    "all-unauthenticated": clients.map((c) => c.name),
    "all-authenticated": ["near, meshed", "far, meshed"],
    "cluster-unauthenticated": ["near, clear", "near, meshed", "near, spiffe"],
    "cluster-authenticated": ["near, meshed"],
    audit: clients.map((c) => c.name),
    deny: [],
  };
  for (const name of DEFAULT_POLICY_NAMES) {
    test(`${name} lets in the right clients, on every level`, () => {
      const policy = defaultServerPolicy(name, params);
      assert.equal(metaName(policy.meta), name);
      const passing = clients
        .filter((c) => authorize(policy.authorizations, c) !== undefined)
        .map((c) => c.name);
      assert.deepEqual(passing, allowed[name]);
      if (policy.protocol.kind === "detect") {
        assert.equal(policy.protocol.timeoutMs, 10_000);
        assert.deepEqual(
          policy.protocol.routes.map((r) => r.authorizations),
          [policy.authorizations],
        );
      } else {
        assert.equal(name, "deny");
        assert.equal(policy.protocol.kind, "opaque");
      }
      assert.deepEqual(opaqueServerPolicy(policy), { ...policy, protocol: { kind: "opaque" } });
    });
  }

  test("only what audit allows is audited", () => {
    const audited = DEFAULT_POLICY_NAMES.filter((n) =>
      defaultServerPolicy(n, params).authorizations.some(isAudited),
    );
    assert.deepEqual(audited, ["audit"]);
  });

  test("localhost means exactly the two loopback addresses", () => {
    const holds = (client: string): boolean =>
      authorize([LOCALHOST_AUTHORIZATION], { ip: ip(client), tls: NO_TLS }) !== undefined;
    assert.deepEqual(["127.0.0.1", "::1", "::ffff:127.0.0.1"].map(holds), [true, true, true]);
    assert.deepEqual(["127.0.0.2", "::", "192.0.2.1"].map(holds), [false, false, false]);
  });
});
