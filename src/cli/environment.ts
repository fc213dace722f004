import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { parseEnvFile } from "../config/env-file.ts";
import type { Files } from "../config/reader.ts";

/** The variables of the process, and below them those of a file; or what is wrong with the file. */
export type Environment =
  | { readonly ok: true; readonly values: ReadonlyMap<string, string> }
  | { readonly ok: false; readonly problems: readonly string[] };

/**
 * Gathers the variables that a command works with. A variable of the process wins over one of the file, so that a single
 * setting can be tried without touching the file.
 */
export function readEnvironment(configFile: string | undefined): Environment {
  const values = new Map<string, string>();
  if (configFile !== undefined) {
    let text: string;
    try {
      text = readFileSync(configFile, "utf8");
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { ok: false, problems: [`${configFile}: it cannot be read: ${reason}`] };
    }
    const file = parseEnvFile(text);
    if (!file.ok) return { ok: false, problems: file.problems.map((problem) => `${configFile}: ${problem}`) };
    for (const [name, value] of file.values) values.set(name, value);
  }
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) values.set(name, value);
  return { ok: true, values };
}

/** The files of this machine. */
export const FILES: Files = {
  isDirectory: (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false,
  size: (path) => {
    try {
      accessSync(path, constants.R_OK);
      const stat = statSync(path);
      return stat.isFile() ? stat.size : undefined;
    } catch {
      return undefined;
    }
  },
};
