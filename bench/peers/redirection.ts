/**
 * Redirection within one network namespace, for proxies that learn from the kernel where a connection was meant to go.
 *
 * Not the rules of `outrigger init`: these leave loopback alone, as they must beside an application, and everything of the
 * bench is on loopback. Here each rule names one address and port, so that it turns nothing else.
 */
import { spawnSync } from "node:child_process";
import { networkInterfaces } from "node:os";
import { findProgram } from "./start.ts";

/** Connections to `address:port` arrive at `toPort` of 127.0.0.1. */
export interface Redirect {
  readonly address: string;
  readonly port: number;
  readonly toPort: number;
}

/**
 * Why nothing can be redirected here; undefined if it can.
 *
 * Only a namespace that nothing but this bench lives in will do: rules and addresses would be those of the whole machine
 * otherwise, and tracking every connection would slow down whatever else runs there.
 */
export function noRedirection(): string | undefined {
  if (process.platform !== "linux") return `redirection needs Linux, this is ${process.platform}`;
  const outside = Object.entries(networkInterfaces()).find(([, addresses]) =>
    addresses?.some(({ internal }) => !internal),
  );
  if (outside !== undefined) return `this network namespace reaches others by ${outside[0]}`;
  for (const program of ["ip", "iptables"]) {
    if (findProgram(program) === undefined) return `${program} is not on PATH`;
  }
  return run("iptables", [...NAT, "--list-rules"]);
}

/** Adds an address to the loopback interface, for as long as the namespace lives. Twice is as good as once. */
export function addLoopbackAddress(address: string): void {
  mustRun("ip", ["address", "replace", `${address}/32`, "dev", "lo"]);
}

/** @returns what takes the rule back. */
export function redirect(rule: Redirect): () => void {
  mustRun("iptables", [...NAT, "--append", ...ruleArgs(rule)]);
  return () => mustRun("iptables", [...NAT, "--delete", ...ruleArgs(rule)]);
}

/** Waits for whoever else is changing rules at the moment. */
const NAT = ["--wait", "--table", "nat"];

function ruleArgs({ address, port, toPort }: Redirect): readonly string[] {
  const match = ["--protocol", "tcp", "--destination", address, "--dport", String(port)];
  return ["OUTPUT", ...match, "--jump", "REDIRECT", "--to-ports", String(toPort)];
}

/** @returns what went wrong; undefined if nothing did. */
function run(name: string, args: readonly string[]): string | undefined {
  const { status, stderr, error } = spawnSync(findProgram(name) ?? name, args, { encoding: "utf8" });
  return status === 0 ? undefined : `${name} ${args.join(" ")}: ${error?.message ?? stderr.trim()}`;
}

function mustRun(name: string, args: readonly string[]): void {
  const problem = run(name, args);
  if (problem !== undefined) throw new Error(problem);
}
