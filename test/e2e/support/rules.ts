import type { Namespace } from "./lab.ts";
import type { Backend } from "./requirements.ts";

export type Family = 4 | 6;

export const FAMILIES: readonly Family[] = [4, 6];

/** Connections that local programs opened, by the rule that decided about them. */
export interface Counters {
  /** The proxy's own, which were left alone. */
  readonly owner: number;
  /** Those that were turned to the outbound proxy. */
  readonly redirected: number;
}

/** The nat table as the save command prints it, without comments and counters of chains, which differ from run to run. */
export function savedRules(namespace: Namespace, backend: Backend, family: Family): string {
  return save(namespace, backend, family, [])
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .map((line) => line.replace(/ \[\d+:\d+\]$/, ""))
    .join("\n");
}

/** NAT looks at the first packet of a connection only, so that packets of its rules are connections. */
export function countersOf(namespace: Namespace, backend: Backend, family: Family): Counters {
  const lines = save(namespace, backend, family, ["--counters"]).split("\n");
  const of = (mark: string): number => {
    const line = lines.find((text) => text.includes(" -A PROXY_INIT_OUTPUT ") && text.includes(mark));
    const count = /^\[(\d+):\d+\]/.exec(line ?? "")?.[1];
    if (count === undefined) throw new Error(`no rule with ${mark} among:\n${lines.join("\n")}`);
    return Number(count);
  };
  return {
    owner: of("proxy-init/ignore-proxy-user-id"),
    redirected: of("proxy-init/redirect-all-outgoing-to-proxy-port"),
  };
}

function save(namespace: Namespace, backend: Backend, family: Family, options: readonly string[]): string {
  const program = `${family === 4 ? "iptables" : "ip6tables"}-${backend}-save`;
  return namespace.mustRun([program, "-t", "nat", ...options]);
}
