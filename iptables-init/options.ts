/** The command line of the init program, as the injected init container uses it. */
import { parseArgs } from "node:util";
import { parseCidr, type Cidr } from "../src/addr/cidr.ts";
import { parsePort } from "../src/addr/port.ts";
import type { IptablesMode } from "./apply.ts";
import type { PortRange, RuleOptions } from "./rules.ts";

export interface InitOptions {
  readonly rules: RuleOptions;
  readonly mode: IptablesMode;
  readonly simulate: boolean;
  readonly wait: boolean;
  readonly ipv6: boolean;
  readonly cleanup: boolean;
  /** Entries that were skipped, in words for the log. */
  readonly warnings: readonly string[];
}

export type InitCommand =
  | { readonly kind: "help" }
  | { readonly kind: "run"; readonly options: InitOptions }
  | { readonly kind: "wrong"; readonly problems: readonly string[] };

export const HELP = `outrigger init: turns the TCP connections of this network namespace to the proxy, with iptables

  outrigger init --incoming-proxy-port 4143 --outgoing-proxy-port 4140 --proxy-uid 2102

  -p, --incoming-proxy-port PORT      the proxy's inbound port (required)
  -o, --outgoing-proxy-port PORT      the proxy's outbound port (required)
  -u, --proxy-uid UID                 user of the proxy: its own connections are left alone
  -g, --proxy-gid GID                 group of the proxy: likewise
  -r, --ports-to-redirect LIST        redirect only these inbound ports (default: all)
      --inbound-ports-to-ignore LIST  ports and ranges (22,25-27) that reach the application directly
      --outbound-ports-to-ignore LIST ports and ranges that leave directly
      --subnets-to-ignore LIST        sources of inbound packets that are left alone (CIDR)
      --ipv6[=false]                  the same rules for IPv6 (default: true)
      --iptables-mode MODE            legacy, nft or plain (default: legacy)
      --firewall-bin-path NAME        iptables-legacy, iptables-nft or iptables
  -w, --use-wait-flag                 wait for the iptables lock
      --simulate                      print the commands, change nothing
      --cleanup                       remove the rules instead

Needs root, or the capabilities NET_ADMIN and NET_RAW. Running it twice changes nothing.`;

const FLAGS = {
  help: { type: "boolean", short: "h" },
  "incoming-proxy-port": { type: "string", short: "p" },
  "outgoing-proxy-port": { type: "string", short: "o" },
  "proxy-uid": { type: "string", short: "u" },
  "proxy-gid": { type: "string", short: "g" },
  "ports-to-redirect": { type: "string", short: "r", multiple: true },
  "inbound-ports-to-ignore": { type: "string", multiple: true },
  "outbound-ports-to-ignore": { type: "string", multiple: true },
  "subnets-to-ignore": { type: "string", multiple: true },
  "iptables-mode": { type: "string" },
  "firewall-bin-path": { type: "string" },
  "firewall-save-bin-path": { type: "string" },
  ipv6: { type: "boolean" },
  "use-wait-flag": { type: "boolean", short: "w" },
  simulate: { type: "boolean" },
  cleanup: { type: "boolean" },
} as const;

const MODES: Record<string, IptablesMode> = {
  legacy: "legacy",
  nft: "nft",
  plain: "plain",
  "iptables-legacy": "legacy",
  "iptables-nft": "nft",
  iptables: "plain",
};

/** Reads the arguments after `init`; every mistake is reported. */
export function parseInitArgs(args: readonly string[]): InitCommand {
  let values;
  try {
    ({ values } = parseArgs({ args: args.map(withoutBooleanValue), options: FLAGS, allowNegative: true }));
  } catch (error) {
    return { kind: "wrong", problems: [error instanceof Error ? error.message : String(error)] };
  }
  if (values.help === true) return { kind: "help" };
  const problems: string[] = [];
  const warnings: string[] = [];
  const cleanup = values.cleanup === true;
  const rules: RuleOptions = {
    incomingProxyPort: proxyPort("incoming-proxy-port", values["incoming-proxy-port"], cleanup, problems),
    outgoingProxyPort: proxyPort("outgoing-proxy-port", values["outgoing-proxy-port"], cleanup, problems),
    proxyUid: ownerId("proxy-uid", values["proxy-uid"], problems),
    proxyGid: ownerId("proxy-gid", values["proxy-gid"], problems),
    portsToRedirect: list(values["ports-to-redirect"]).flatMap((item) => {
      const port = parsePort(item);
      if (!port.ok) problems.push(`--ports-to-redirect: ${port.problem}`);
      return port.ok ? [port.value] : [];
    }),
    inboundPortsToIgnore: ranges("inbound-ports-to-ignore", values["inbound-ports-to-ignore"], warnings),
    outboundPortsToIgnore: ranges("outbound-ports-to-ignore", values["outbound-ports-to-ignore"], warnings),
    subnetsToIgnore: subnets(values["subnets-to-ignore"], problems),
  };
  // A proxy that runs as root cannot be told from any other program of root: its own connections would loop.
  if (values["proxy-uid"] === "0" && rules.proxyGid === undefined) {
    problems.push("--proxy-uid 0 exempts nothing: run the proxy as another user, or give --proxy-gid");
  }
  const modeText = values["iptables-mode"] ?? values["firewall-bin-path"] ?? "legacy";
  const mode = MODES[modeText];
  if (mode === undefined) problems.push(`--iptables-mode "${modeText}" is not one of legacy, nft, plain`);
  if (problems.length > 0 || mode === undefined) return { kind: "wrong", problems };
  const simulate = values.simulate === true;
  const wait = values["use-wait-flag"] === true;
  return {
    kind: "run",
    options: { rules, mode, simulate, wait, ipv6: values.ipv6 !== false, cleanup, warnings },
  };
}

/** Go's flag syntax: `--ipv6=false` is what Node spells `--no-ipv6`. */
function withoutBooleanValue(arg: string): string {
  const match = /^--(ipv6|simulate|use-wait-flag|cleanup)=(true|false)$/.exec(arg);
  if (match === null) return arg;
  return match[2] === "true" ? `--${match[1]}` : `--no-${match[1]}`;
}

function proxyPort(name: string, text: string | undefined, optional: boolean, problems: string[]): number {
  if (text === undefined) {
    if (!optional) problems.push(`--${name} must be given`);
    return 0;
  }
  const port = parsePort(text);
  if (!port.ok) problems.push(`--${name}: ${port.problem}`);
  return port.ok ? port.value : 0;
}

/** -1 and 0 make no rule, as in the original; anything else must be a number. */
function ownerId(name: string, text: string | undefined, problems: string[]): number | undefined {
  if (text === undefined) return undefined;
  if (!/^-?[0-9]{1,10}$/.test(text)) {
    problems.push(`--${name} "${text}" is not a number`);
    return undefined;
  }
  const id = Number(text);
  return id > 0 ? id : undefined;
}

function list(values: readonly string[] | undefined): string[] {
  return (values ?? [])
    .flatMap((v) => v.split(","))
    .map((v) => v.trim())
    .filter((v) => v !== "");
}

/** An entry that does not parse is skipped with a warning: a typo in an annotation must not stop a pod from starting. */
function ranges(name: string, values: readonly string[] | undefined, warnings: string[]): PortRange[] {
  return list(values).flatMap((item) => {
    const [lowText = "", highText = lowText] = item.split("-");
    const low = parsePort(lowText);
    const high = parsePort(highText);
    if (low.ok && high.ok && low.value <= high.value) return [{ low: low.value, high: high.value }];
    warnings.push(`--${name}: "${item}" is not a port or a range low-high: skipped`);
    return [];
  });
}

function subnets(values: readonly string[] | undefined, problems: string[]): Cidr[] {
  return list(values).flatMap((item) => {
    const cidr = parseCidr(item);
    if (!cidr.ok) problems.push(`--subnets-to-ignore: ${cidr.problem}`);
    return cidr.ok ? [cidr.value] : [];
  });
}
