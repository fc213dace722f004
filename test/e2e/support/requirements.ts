import { randomBytes } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { loadLibc } from "../../../src/transport/libc.ts";
import { APPLICATION_UID, asUser } from "./lab.ts";
import { BARE_ENVIRONMENT, run } from "./run.ts";

export type Backend = "nft" | "legacy";

/** What this machine can do, or why the test cannot run here. */
export type Requirements =
  | { readonly kind: "met"; readonly backends: readonly [Backend, ...Backend[]] }
  | { readonly kind: "missing"; readonly reason: string };

const PROGRAMS = [
  ["ip", "iproute2"],
  ["setpriv", "util-linux"],
  ["curl", "curl"],
] as const;

/** Looks for everything the test needs; what is missing is named, with the package that brings it. */
export function findRequirements(): Requirements {
  if (process.platform !== "linux")
    return missing(`network namespaces need Linux, this is ${process.platform}`);
  if (process.getuid?.() !== 0) return missing("not root: making network namespaces needs it");
  const libc = loadLibc();
  if (libc.kind === "missing") return missing(`SO_ORIGINAL_DST cannot be read: ${libc.reason}`);
  const absent = PROGRAMS.filter(([program]) => !onPath(program));
  if (absent.length > 0) {
    return missing(
      absent.map(([program, name]) => `no ${program} on this machine (package ${name})`).join(", "),
    );
  }
  const installed = (["nft", "legacy"] as const).filter((backend) =>
    programsOf(backend).every((program) => onPath(program)),
  );
  if (installed.length === 0) {
    return missing("neither iptables-nft nor iptables-legacy on this machine (package iptables)");
  }
  return tryOut(installed);
}

/** Root in a container may have the programs and still not the rights, or a kernel without NAT. */
function tryOut(installed: readonly Backend[]): Requirements {
  const name = `outrigger-e2e-probe-${randomBytes(4).toString("hex")}`;
  try {
    const made = run(["ip", "netns", "add", name]);
    if (!made.ok) return missing(`network namespaces cannot be made here: ${made.stderr.trim()}`);
    const inside = ["ip", "netns", "exec", name];
    const user = run([...inside, ...asUser(APPLICATION_UID), "true"]);
    if (!user.ok) return missing(`programs cannot be run as another user here: ${user.stderr.trim()}`);
    const ipv6 = run(["ip", "-n", name, "-6", "addr", "add", "fd77::1/64", "dev", "lo"]);
    if (!ipv6.ok) return missing(`IPv6 is not available here: ${ipv6.stderr.trim()}`);
    const problems: string[] = [];
    const works = installed.filter((backend) =>
      ["iptables", "ip6tables"].every((program) => {
        const tried = run([...inside, `${program}-${backend}`, "-t", "nat", "-S"]);
        if (!tried.ok) problems.push(`${program}-${backend}: ${tried.stderr.trim()}`);
        return tried.ok;
      }),
    );
    const [first, ...others] = works;
    if (first === undefined) return missing(`iptables does not work here: ${problems.join("; ")}`);
    return { kind: "met", backends: [first, ...others] };
  } finally {
    run(["ip", "netns", "delete", name]);
  }
}

function programsOf(backend: Backend): string[] {
  return ["iptables", "ip6tables"].flatMap((family) =>
    ["", "-save", "-restore"].map((suffix) => `${family}-${backend}${suffix}`),
  );
}

function onPath(program: string): boolean {
  return (BARE_ENVIRONMENT["PATH"] ?? "").split(":").some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function missing(reason: string): Requirements {
  return { kind: "missing", reason };
}
