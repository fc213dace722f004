/** Runs what `rules.ts` says, for one IP family at a time. */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { existingChains, JUMPS, missingJumps, restoreText, type IpFamily, type RuleSet } from "./rules.ts";

export type IptablesMode = "legacy" | "nft" | "plain";

export interface ApplyOptions {
  readonly mode: IptablesMode;
  /** Say what would be done, change nothing; existing rules are taken as none. */
  readonly simulate: boolean;
  /** Wait for the xtables lock instead of failing when somebody else holds it. */
  readonly wait: boolean;
  readonly log: (line: string) => void;
  /** Directories searched for programs, as in PATH. */
  readonly path: string;
}

/** The programs of one backend and family. */
interface Programs {
  readonly iptables: string;
  readonly save: string;
  readonly restore: string;
}

const SUFFIX: Record<IptablesMode, string> = { legacy: "-legacy", nft: "-nft", plain: "" };

/** Installs the rules so that running it again changes nothing. Throws an Error that names the command that failed. */
export function install(rules: RuleSet, family: IpFamily, options: ApplyOptions): void {
  const programs = choosePrograms(family, options);
  const saved = options.simulate ? "" : run(programs.save, ["-t", "nat"], "", options);
  const restore = ["--noflush", ...(options.wait ? ["-w"] : [])];
  run(programs.restore, restore, restoreText(rules), options);
  for (const jump of missingJumps(saved)) {
    run(programs.iptables, natArgs(["-A", jump.from, ...jump.args], options), "", options);
  }
  if (!options.simulate) options.log(run(programs.save, ["-t", "nat"], "", options).trimEnd());
}

/** Removes everything `install` made; what is already absent is left at that. */
export function cleanup(family: IpFamily, options: ApplyOptions): void {
  const programs = choosePrograms(family, options);
  const saved = options.simulate ? "" : run(programs.save, ["-t", "nat"], "", options);
  const missing = options.simulate ? [] : missingJumps(saved);
  for (const jump of JUMPS) {
    if (missing.includes(jump)) continue;
    run(programs.iptables, natArgs(["-D", jump.from, ...jump.args], options), "", options);
  }
  const chains = existingChains(saved);
  for (const chain of chains) run(programs.iptables, natArgs(["-F", chain], options), "", options);
  for (const chain of chains) run(programs.iptables, natArgs(["-X", chain], options), "", options);
}

function natArgs(args: readonly string[], options: ApplyOptions): string[] {
  return ["-t", "nat", ...args, ...(options.wait ? ["-w"] : [])];
}

/** The asked-for backend if it is on PATH, else the first complete one in the order nft, plain, legacy, with a warning. */
function choosePrograms(family: IpFamily, options: ApplyOptions): Programs {
  const wanted = programsOf(options.mode, family);
  const candidates = [
    wanted,
    ...(["nft", "plain", "legacy"] as const).map((mode) => programsOf(mode, family)),
  ];
  const found = candidates.find((p) =>
    [p.iptables, p.save, p.restore].every((name) => onPath(name, options.path)),
  );
  if (found === undefined) {
    if (options.simulate) return wanted;
    throw new Error(
      `neither ${wanted.iptables} nor another iptables program is on PATH: install the iptables package`,
    );
  }
  if (found.iptables !== wanted.iptables)
    options.log(`${wanted.iptables} is not on PATH: using ${found.iptables}`);
  return found;
}

function programsOf(mode: IptablesMode, family: IpFamily): Programs {
  const base = family === 4 ? "iptables" : "ip6tables";
  const name = `${base}${SUFFIX[mode]}`;
  return { iptables: name, save: `${name}-save`, restore: `${name}-restore` };
}

function onPath(program: string, path: string): boolean {
  return path.split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function run(program: string, args: readonly string[], input: string, options: ApplyOptions): string {
  options.log(`${program} ${args.join(" ")}${input === "" ? "" : ` <<END\n${input}END`}`);
  if (options.simulate) return "";
  const result = spawnSync(program, args, { input, encoding: "utf8", env: { PATH: options.path } });
  if (result.error !== undefined) throw new Error(`${program}: ${result.error.message}`);
  if (result.status !== 0) {
    throw new Error(
      `${program} ${args.join(" ")} ended with status ${result.status}: ${result.stderr.trim()}`,
    );
  }
  return result.stdout;
}
