/**
 * Options to rules: which connections of a network namespace go through the proxy. Pure; `apply.ts` runs what it says.
 *
 * Source: linkerd2-proxy-init, pkg/iptables/iptables.go (chains, order, comments).
 */
import { formatCidr, type Cidr } from "../src/addr/cidr.ts";

export type IpFamily = 4 | 6;

export interface RuleOptions {
  readonly incomingProxyPort: number;
  readonly outgoingProxyPort: number;
  /** Connections of this user are the proxy's own and are left alone; undefined makes no rule. */
  readonly proxyUid: number | undefined;
  readonly proxyGid: number | undefined;
  /** Empty: every inbound port is redirected. */
  readonly portsToRedirect: readonly number[];
  readonly inboundPortsToIgnore: readonly PortRange[];
  readonly outboundPortsToIgnore: readonly PortRange[];
  /** Inbound packets from these sources are left alone; each applies to its own family only. */
  readonly subnetsToIgnore: readonly Cidr[];
}

export interface PortRange {
  readonly low: number;
  readonly high: number;
}

export const REDIRECT_CHAIN = "PROXY_INIT_REDIRECT";
export const OUTPUT_CHAIN = "PROXY_INIT_OUTPUT";

/** A jump from a built-in chain into one of ours. */
export interface Jump {
  readonly from: "PREROUTING" | "OUTPUT";
  readonly to: string;
  /** Arguments after `-A FROM` or `-D FROM`. */
  readonly args: readonly string[];
}

/** Arguments after `-A CHAIN`, in order. */
export interface RuleSet {
  readonly redirect: readonly (readonly string[])[];
  readonly output: readonly (readonly string[])[];
  readonly jumps: readonly Jump[];
}

export const JUMPS: readonly Jump[] = [
  { from: "PREROUTING", to: REDIRECT_CHAIN, args: jumpArgs(REDIRECT_CHAIN, "install-proxy-init-prerouting") },
  { from: "OUTPUT", to: OUTPUT_CHAIN, args: jumpArgs(OUTPUT_CHAIN, "install-proxy-init-output") },
];

/** The rules for one IP family. */
export function rulesFor(options: RuleOptions, family: IpFamily): RuleSet {
  return { redirect: redirectRules(options, family), output: outputRules(options), jumps: JUMPS };
}

/** Order: whatever is left alone returns before the redirect is reached. */
function redirectRules(options: RuleOptions, family: IpFamily): string[][] {
  const to = String(options.incomingProxyPort);
  const rules = ignoredPorts(options.inboundPortsToIgnore);
  for (const subnet of options.subnetsToIgnore) {
    if (subnet.ip.version !== family) continue;
    const text = formatCidr(subnet);
    rules.push(["-p", "all", "-j", "RETURN", "-s", text, ...comment(`ignore-subnet-${text}`)]);
  }
  if (options.portsToRedirect.length === 0) {
    rules.push([
      "-p",
      "tcp",
      "-j",
      "REDIRECT",
      "--to-port",
      to,
      ...comment("redirect-all-incoming-to-proxy-port"),
    ]);
  }
  for (const port of options.portsToRedirect) {
    const match = ["-p", "tcp", "--destination-port", String(port)];
    rules.push([
      ...match,
      "-j",
      "REDIRECT",
      "--to-port",
      to,
      ...comment(`redirect-port-${port}-to-proxy-port`),
    ]);
  }
  return rules;
}

/** Order: the proxy's own connections first, or they would come back to it for ever. */
function outputRules(options: RuleOptions): string[][] {
  const rules: string[][] = [];
  if (options.proxyUid !== undefined) rules.push(ownerRule("uid", options.proxyUid, "ignore-proxy-user-id"));
  if (options.proxyGid !== undefined) rules.push(ownerRule("gid", options.proxyGid, "ignore-proxy-group-id"));
  rules.push(["-o", "lo", "-j", "RETURN", ...comment("ignore-loopback")]);
  rules.push(...ignoredPorts(options.outboundPortsToIgnore));
  const to = String(options.outgoingProxyPort);
  rules.push([
    "-p",
    "tcp",
    "-j",
    "REDIRECT",
    "--to-port",
    to,
    ...comment("redirect-all-outgoing-to-proxy-port"),
  ]);
  return rules;
}

function ownerRule(which: "uid" | "gid", id: number, why: string): string[] {
  return ["-m", "owner", `--${which}-owner`, String(id), "-j", "RETURN", ...comment(why)];
}

/** The kernel's multiport match takes 15 port references; a range counts as two. */
const MULTIPORT_MAX = 15;

function ignoredPorts(ranges: readonly PortRange[]): string[][] {
  const groups: string[][] = [];
  let used = MULTIPORT_MAX;
  for (const { low, high } of ranges) {
    const cost = low === high ? 1 : 2;
    if (used + cost > MULTIPORT_MAX) {
      groups.push([]);
      used = 0;
    }
    used += cost;
    groups.at(-1)?.push(low === high ? String(low) : `${low}:${high}`);
  }
  return groups.map((group) => {
    const list = group.join(",");
    return [
      "-p",
      "tcp",
      "--match",
      "multiport",
      "--dports",
      list,
      "-j",
      "RETURN",
      ...comment(`ignore-port-${list}`),
    ];
  });
}

function jumpArgs(chain: string, why: string): string[] {
  return ["-j", chain, ...comment(why)];
}

function comment(why: string): string[] {
  return ["-m", "comment", "--comment", `proxy-init/${why}`];
}

/** Text for `iptables-restore --noflush`: both chains are emptied and filled in one transaction, so there is no gap in between. */
export function restoreText(rules: RuleSet): string {
  const lines = ["*nat", `:${REDIRECT_CHAIN} - [0:0]`, `:${OUTPUT_CHAIN} - [0:0]`];
  for (const rule of rules.redirect) lines.push(["-A", REDIRECT_CHAIN, ...rule].join(" "));
  for (const rule of rules.output) lines.push(["-A", OUTPUT_CHAIN, ...rule].join(" "));
  return [...lines, "COMMIT", ""].join("\n");
}

/** Which jumps the table, as its save command prints it, already has. */
export function missingJumps(saved: string): readonly Jump[] {
  const lines = saved.split("\n");
  return JUMPS.filter(
    (jump) => !lines.some((l) => l.startsWith(`-A ${jump.from} `) && l.trimEnd().endsWith(`-j ${jump.to}`)),
  );
}

/** Which of our chains exist in the table, as its save command prints it. */
export function existingChains(saved: string): readonly string[] {
  return [OUTPUT_CHAIN, REDIRECT_CHAIN].filter((chain) =>
    saved.split("\n").some((l) => l.startsWith(`:${chain} `)),
  );
}
