import { run as runInit } from "../../iptables-init/main.ts";

/** Writes the iptables rules; the program behind it is also an image's init container. @returns the exit code. */
export function run(args: readonly string[]): Promise<number> {
  return runInit(args);
}
