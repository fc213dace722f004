import assert from "node:assert/strict";
import { test } from "node:test";
import { parseInitArgs } from "../../iptables-init/options.ts";
import { existingChains, missingJumps, restoreText, rulesFor } from "../../iptables-init/rules.ts";

const DEFAULT_ARGS = [
  ...["--firewall-bin-path", "iptables-nft", "--firewall-save-bin-path", "iptables-nft-save", "--ipv6=false"],
  ...["--incoming-proxy-port", "4143", "--outgoing-proxy-port", "4140", "--proxy-uid", "2102"],
  ...["--inbound-ports-to-ignore", "4190,4191,4567,4568", "--outbound-ports-to-ignore", "4567,4568"],
];

function options(args: readonly string[]) {
  const command = parseInitArgs(args);
  assert.equal(command.kind, "run", JSON.stringify(command));
  return command.options;
}

function problems(args: readonly string[]): readonly string[] {
  const command = parseInitArgs(args);
  assert.equal(command.kind, "wrong");
  return command.problems;
}

test("the default install gives the stock rules in the stock order", () => {
  const parsed = options(DEFAULT_ARGS);
  assert.equal(parsed.mode, "nft");
  assert.equal(parsed.ipv6, false);
  assert.equal(
    restoreText(rulesFor(parsed.rules, 4)),
    [
      "*nat",
      ":PROXY_INIT_REDIRECT - [0:0]",
      ":PROXY_INIT_OUTPUT - [0:0]",
      "-A PROXY_INIT_REDIRECT -p tcp --match multiport --dports 4190,4191,4567,4568 -j RETURN -m comment --comment proxy-init/ignore-port-4190,4191,4567,4568",
      "-A PROXY_INIT_REDIRECT -p tcp -j REDIRECT --to-port 4143 -m comment --comment proxy-init/redirect-all-incoming-to-proxy-port",
      "-A PROXY_INIT_OUTPUT -m owner --uid-owner 2102 -j RETURN -m comment --comment proxy-init/ignore-proxy-user-id",
      "-A PROXY_INIT_OUTPUT -o lo -j RETURN -m comment --comment proxy-init/ignore-loopback",
      "-A PROXY_INIT_OUTPUT -p tcp --match multiport --dports 4567,4568 -j RETURN -m comment --comment proxy-init/ignore-port-4567,4568",
      "-A PROXY_INIT_OUTPUT -p tcp -j REDIRECT --to-port 4140 -m comment --comment proxy-init/redirect-all-outgoing-to-proxy-port",
      "COMMIT",
      "",
    ].join("\n"),
  );
});

test("ignored ports are packed into rules of at most fifteen references, a range counting two", () => {
  const list = "1-2,3-4,5-6,7-8,9-10,11-12,13-14,15-15,16";
  const parsed = options(["-p", "1", "-o", "2", "-u", "3", "--inbound-ports-to-ignore", list]);
  const dports = rulesFor(parsed.rules, 4).redirect.flatMap(
    (rule) => rule[rule.indexOf("--dports") + 1] ?? [],
  );
  assert.deepEqual(dports.slice(0, 2), ["1:2,3:4,5:6,7:8,9:10,11:12,13:14,15", "16"]);
});

test("each ignored subnet applies to its own family", () => {
  const parsed = options(["-p", "1", "-o", "2", "--subnets-to-ignore", "192.0.2.0/24,2001:db8::/32"]);
  const sources = (family: 4 | 6) =>
    rulesFor(parsed.rules, family).redirect.flatMap((rule) =>
      rule.includes("-s") ? [rule[rule.indexOf("-s") + 1]] : [],
    );
  assert.deepEqual(sources(4), ["192.0.2.0/24"]);
  assert.deepEqual(sources(6), ["2001:db8::/32"]);
});

test("listed ports are redirected one by one and nothing else", () => {
  const parsed = options(["-p", "4143", "-o", "2", "-r", "80", "-r", "443,8080"]);
  const ports = rulesFor(parsed.rules, 4).redirect.map(
    (rule) => rule[rule.indexOf("--destination-port") + 1],
  );
  assert.deepEqual(ports, ["80", "443", "8080"]);
});

test("a malformed ignored port is skipped with a warning", () => {
  const parsed = options(["-p", "1", "-o", "2", "--inbound-ports-to-ignore", "80,x,90-70,90"]);
  assert.deepEqual(
    parsed.rules.inboundPortsToIgnore.map((r) => r.low),
    [80, 90],
  );
  assert.equal(parsed.warnings.length, 2);
});

test("every mistake is reported at once", () => {
  const found = problems([
    "--proxy-uid",
    "root",
    "--subnets-to-ignore",
    "192.0.2.1",
    "--iptables-mode",
    "magic",
  ]);
  assert.equal(found.length, 5, found.join("\n"));
});

test("an unknown flag is refused", () => {
  assert.match(problems(["--incoming-port", "1"])[0] ?? "", /incoming-port/);
});

test("root as the proxy's user is refused without a group, because its connections would loop", () => {
  assert.match(problems(["-p", "1", "-o", "2", "-u", "0"])[0] ?? "", /exempts nothing/);
  options(["-p", "1", "-o", "2", "-u", "0", "-g", "2102"]);
});

test("jumps and chains that exist are recognised in what the save command prints", () => {
  const saved = [
    "*nat",
    ":PROXY_INIT_OUTPUT - [0:0]",
    '-A OUTPUT -m comment --comment "proxy-init/install-proxy-init-output" -j PROXY_INIT_OUTPUT',
  ].join("\n");
  assert.deepEqual(
    missingJumps(saved).map((j) => j.from),
    ["PREROUTING"],
  );
  assert.deepEqual(existingChains(saved), ["PROXY_INIT_OUTPUT"]);
});
