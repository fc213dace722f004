/** The init program: `outrigger init`. */
import { cleanup, install, type ApplyOptions } from "./apply.ts";
import { HELP, parseInitArgs } from "./options.ts";
import { rulesFor, type IpFamily } from "./rules.ts";

/** Runs the program and returns its exit status: 0, or 1 with the reason on standard error. */
export async function run(args: readonly string[]): Promise<number> {
  const command = parseInitArgs(args);
  if (command.kind === "help") {
    console.log(HELP);
    return 0;
  }
  if (command.kind === "wrong") {
    for (const problem of command.problems) console.error(`init: ${problem}`);
    console.error("init: nothing was changed; `outrigger init --help` tells the options");
    return 1;
  }
  const { options } = command;
  for (const warning of options.warnings) console.log(`warning: ${warning}`);
  const apply: ApplyOptions = {
    mode: options.mode,
    simulate: options.simulate,
    wait: options.wait,
    log: (line) => console.log(line),
    // The places where distributions put iptables, for callers whose PATH has no sbin.
    path: `${pathOfProcess()}:/usr/sbin:/sbin`,
  };
  const families: readonly IpFamily[] = options.ipv6 ? [4, 6] : [4];
  try {
    for (const family of families) {
      if (options.cleanup) cleanup(family, apply);
      else install(rulesFor(options.rules, family), family, apply);
    }
  } catch (error) {
    console.error(`init: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
  return 0;
}

function pathOfProcess(): string {
  return process.env["PATH"] ?? "/usr/bin:/bin";
}
