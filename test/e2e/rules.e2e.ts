/** What `outrigger init` leaves in a real kernel, for each backend of iptables that this machine has. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { outrigger } from "./support/intercepted-mesh.ts";
import { Lab, type Namespace } from "./support/lab.ts";
import { findRequirements, type Backend } from "./support/requirements.ts";
import { FAMILIES, savedRules, type Family } from "./support/rules.ts";

const requirements = findRequirements();

/** The arguments of a default install into a cluster, but for the family, which is left at both. */
const DEFAULT_INSTALL = [
  ...["--incoming-proxy-port", "4143", "--outgoing-proxy-port", "4140", "--proxy-uid", "2102"],
  ...["--inbound-ports-to-ignore", "4190,4191,4567,4568", "--outbound-ports-to-ignore", "4567,4568"],
];

/** Chains and rules of the default install as the stock program makes them, sorted, since backends order tables differently. */
const DEFAULT_RULES = [
  ":PROXY_INIT_OUTPUT -",
  ":PROXY_INIT_REDIRECT -",
  '-A PREROUTING -m comment --comment "proxy-init/install-proxy-init-prerouting" -j PROXY_INIT_REDIRECT',
  '-A OUTPUT -m comment --comment "proxy-init/install-proxy-init-output" -j PROXY_INIT_OUTPUT',
  '-A PROXY_INIT_OUTPUT -m owner --uid-owner 2102 -m comment --comment "proxy-init/ignore-proxy-user-id" -j RETURN',
  '-A PROXY_INIT_OUTPUT -o lo -m comment --comment "proxy-init/ignore-loopback" -j RETURN',
  '-A PROXY_INIT_OUTPUT -p tcp -m multiport --dports 4567,4568 -m comment --comment "proxy-init/ignore-port-4567,4568" -j RETURN',
  '-A PROXY_INIT_OUTPUT -p tcp -m comment --comment "proxy-init/redirect-all-outgoing-to-proxy-port" -j REDIRECT --to-ports 4140',
  '-A PROXY_INIT_REDIRECT -p tcp -m multiport --dports 4190,4191,4567,4568 -m comment --comment "proxy-init/ignore-port-4190,4191,4567,4568" -j RETURN',
  '-A PROXY_INIT_REDIRECT -p tcp -m comment --comment "proxy-init/redirect-all-incoming-to-proxy-port" -j REDIRECT --to-ports 4143',
];

/** A rule that somebody else made. */
const FOREIGN_RULE = "-A OUTPUT -p udp -m udp --dport 53 -j ACCEPT";

if (requirements.kind === "missing") {
  const { reason } = requirements;
  it("the rules of the init program are in the kernel", { skip: reason }, () => assert.fail(reason));
} else {
  for (const backend of requirements.backends) {
    describe(`the rules of the init program, with iptables-${backend}`, () => {
      const lab = new Lab();
      let namespace: Namespace;

      before(() => {
        namespace = lab.namespace("rules");
      });

      after(async () => {
        await lab.close();
        assert.deepEqual(lab.leftovers(), []);
      });

      const init = (...args: readonly string[]): string =>
        namespace.mustRun(outrigger("init", "--iptables-mode", backend, ...args));
      const rules = (family: Family): string[] => ourRules(namespace, backend, family);

      it("are those of the stock program, for both families", () => {
        init(...DEFAULT_INSTALL);
        for (const family of FAMILIES) assert.deepEqual(rules(family), DEFAULT_RULES, `IPv${family}`);
      });

      it("are the same after a second run, also when it waits for the lock", () => {
        init("--use-wait-flag", ...DEFAULT_INSTALL);
        for (const family of FAMILIES) assert.deepEqual(rules(family), DEFAULT_RULES, `IPv${family}`);
      });

      it("stay as they are in a simulation", () => {
        const said = init("--simulate", "-p", "1", "-o", "2", "--proxy-uid", "3");
        assert.match(said, /--to-port 1\b/);
        for (const family of FAMILIES) assert.deepEqual(rules(family), DEFAULT_RULES, `IPv${family}`);
      });

      it("are replaced by those of a run with other options", () => {
        const ports = Array.from({ length: 20 }, (_, i) => String(9000 + 2 * i)).join(",");
        const lists = [
          "--inbound-ports-to-ignore",
          `${ports},junk,22-25`,
          "--ports-to-redirect",
          "8080,9090",
        ];
        const subnets = ["--subnets-to-ignore", "10.0.0.0/8,fd00::/8"];
        init("-p", "4143", "-o", "4140", "-u", "2102", "-g", "2103", ...lists, ...subnets);
        const [v4, v6] = [rules(4), rules(6)];
        for (const [family, subnet, other] of [
          [v4, "-s 10.0.0.0/8 ", "fd00"],
          [v6, "-s fd00::/8 ", "10.0.0.0"],
        ] as const) {
          const text = family.join("\n");
          assert.ok(text.includes(subnet) && !text.includes(other), text);
          assert.match(text, /--gid-owner 2103 /);
          assert.match(text, /--dports [0-9,]*,9038,22:25 /);
          assert.equal(family.filter((rule) => rule.includes("multiport")).length, 2, text);
          assert.match(text, /-A PROXY_INIT_REDIRECT -p tcp -m tcp --dport 9090 .*--to-ports 4143/);
          assert.doesNotMatch(text, /redirect-all-incoming|4567/);
        }
      });

      it("go away with --cleanup, and nothing else does", () => {
        for (const program of ["iptables", "ip6tables"]) {
          namespace.mustRun([`${program}-${backend}`, "-t", "nat", ...FOREIGN_RULE.split(" ")]);
        }
        init("--cleanup");
        for (const family of FAMILIES) assert.deepEqual(rules(family), [FOREIGN_RULE], `IPv${family}`);
      });

      it("may be removed where there are none", () => {
        init("--cleanup");
        for (const family of FAMILIES) assert.deepEqual(rules(family), [FOREIGN_RULE], `IPv${family}`);
      });

      it("leave IPv6 alone with --ipv6=false", () => {
        init("--ipv6=false", ...DEFAULT_INSTALL);
        assert.ok(rules(4).includes(DEFAULT_RULES[0] ?? ""));
        assert.deepEqual(rules(6), [FOREIGN_RULE]);
      });
    });
  }
}

/** Chains of our own and all rules: jumps from the built-in chains first, then our chains by name. */
function ourRules(namespace: Namespace, backend: Backend, family: Family): string[] {
  const lines = savedRules(namespace, backend, family).split("\n");
  const starting = (start: string): string[] => lines.filter((line) => line.startsWith(start));
  return [
    ...starting(":PROXY_INIT_").sort(),
    ...starting("-A PREROUTING "),
    ...starting("-A OUTPUT "),
    ...starting("-A PROXY_INIT_OUTPUT "),
    ...starting("-A PROXY_INIT_REDIRECT "),
  ];
}
