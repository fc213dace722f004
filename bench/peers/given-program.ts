import { accessSync, constants, statSync } from "node:fs";

/** A program that no distribution packages, so that whoever measures says where it is. */
export type GivenProgram =
  | { readonly kind: "given"; readonly path: string }
  | { readonly kind: "missing"; readonly reason: string };

/** @param variable of the environment: names the program's file. */
export function givenProgram(variable: string): GivenProgram {
  const path = process.env[variable] ?? "";
  if (path === "") return { kind: "missing", reason: `${variable}, which names its program, is not set` };
  return isExecutableFile(path)
    ? { kind: "given", path }
    : { kind: "missing", reason: `${variable} names ${path}, which is not an executable file` };
}

export function isExecutableFile(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
