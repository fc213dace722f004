#!/usr/bin/env node
import { BUILD } from "./config/build-info.ts";
import { dropInheritedOptions } from "./cli/inherited-options.ts";
import { watchSignals } from "./cli/signals.ts";
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "./cli/exit-code.ts";

interface Command {
  readonly summary: string;
  /** Loads the command only when it is asked for, so that the proxy starts without the others. */
  readonly run: (args: readonly string[]) => Promise<number>;
}

const COMMANDS = new Map<string, Command>([
  [
    "proxy",
    {
      summary: "run the sidecar proxy, configured by LINKERD2_PROXY_* variables",
      run: async (args) => {
        dropInheritedOptions();
        // Before anything else: a signal during start must not be lost.
        const signals = watchSignals();
        return (await import("./cli/proxy.ts")).run(args, signals);
      },
    },
  ],
  [
    "control-plane",
    {
      summary: "run a small control plane that reads manifests from a folder",
      run: async (args) => {
        dropInheritedOptions();
        return (await import("./cli/control-plane.ts")).run(args);
      },
    },
  ],
  [
    "demo",
    {
      summary: "run a mesh of two small services on this machine and watch it work",
      run: async (args) => (await import("./cli/demo.ts")).run(args),
    },
  ],
  [
    "init",
    {
      summary: "write the iptables rules that lead an application's traffic through the proxy",
      run: async (args) => (await import("./cli/init.ts")).run(args),
    },
  ],
]);

function commandList(): string {
  const width = Math.max(...[...COMMANDS.keys()].map((name) => name.length));
  return [...COMMANDS].map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`).join("\n");
}

const HELP = `outrigger ${BUILD.version}: a sidecar micro-proxy for the Linkerd service mesh

Usage: outrigger COMMAND [OPTIONS]

${commandList()}

outrigger COMMAND --help tells what a command takes. New here? Try: outrigger demo
`;

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(HELP);
    return EXIT_OK;
  }
  if (name === "--version" || name === "-V") {
    process.stdout.write(`outrigger ${BUILD.version}\n`);
    return EXIT_OK;
  }
  const command = COMMANDS.get(name ?? "");
  if (command === undefined) {
    const fault = name === undefined ? "no command given" : `unknown command ${JSON.stringify(name)}`;
    process.stderr.write(`outrigger: ${fault}; the commands are:\n${commandList()}\n`);
    return EXIT_USAGE;
  }
  return command.run(rest);
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(
    `outrigger: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(EXIT_FAILURE);
}
