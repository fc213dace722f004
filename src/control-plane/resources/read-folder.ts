import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { parseManifest } from "./parse-manifest.ts";
import type { Problem } from "./problem.ts";
import { findDanglingReferences } from "./references.ts";
import { findTakenPorts } from "./port-claims.ts";
import { findUnreachableWorkloads } from "./workload-warnings.ts";
import { findConflicts, ResourceSet } from "./resource-set.ts";

/** What a folder holds: a set of resources, or every problem that keeps it from being one. */
export type FolderState =
  | { readonly ok: true; readonly resources: ResourceSet; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] };

/** Bytes of one manifest. Kubernetes keeps no object above 1.5 MiB; a file may hold many. */
export const MANIFEST_MAX_BYTES = 8 * 1024 * 1024;

/** Manifests of one folder. */
export const MANIFESTS_MAX = 10_000;

const MANIFEST_NAME = /\.(ya?ml|json)$/;

/** The contents of a folder at one moment: text by file name relative to the folder, or why a file could not be read. */
export type FolderText = ReadonlyMap<string, { readonly text: string } | { readonly problem: string }>;

/**
 * Reads every `.yaml`, `.yml` and `.json` file of `folder` and below. Names that begin with a dot are passed over, as
 * editors leave such files behind.
 *
 * @throws if the folder itself cannot be read.
 */
export async function readFolder(folder: string): Promise<FolderText> {
  const contents = new Map<string, { text: string } | { problem: string }>();
  for (const name of await manifestNames(folder)) {
    const content = await readManifest(join(folder, name));
    if (content !== undefined) contents.set(name, content);
  }
  return contents;
}

/** Names, sizes and times of a folder's manifests: equal as long as nobody touches them, and cheaper than reading. */
export async function fingerprintOf(folder: string): Promise<string> {
  const marks: string[] = [];
  for (const name of await manifestNames(folder)) {
    const stats = await stat(join(folder, name)).catch(() => undefined);
    marks.push(JSON.stringify([name, stats?.ino, stats?.size, stats?.mtimeMs, stats?.ctimeMs]));
  }
  return marks.join();
}

async function manifestNames(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory() && MANIFEST_NAME.test(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((name) => !name.split(sep).some((part) => part.startsWith(".")))
    .sort();
  if (names.length > MANIFESTS_MAX) {
    throw new Error(`${folder} holds ${names.length} manifests, more than ${MANIFESTS_MAX}`);
  }
  return names;
}

/** Undefined: the file went away while the folder was read. */
async function readManifest(path: string): Promise<{ text: string } | { problem: string } | undefined> {
  try {
    const { size } = await stat(path);
    if (size > MANIFEST_MAX_BYTES)
      return { problem: `found ${size} bytes, expected at most ${MANIFEST_MAX_BYTES}` };
    return { text: await readFile(path, "utf8") };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    return { problem: `cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** Makes one set of all files; a problem anywhere spoils the whole, so that nobody runs on half of a change. */
export function readResources(contents: FolderText, folder: string): FolderState {
  const manifests = [...contents].map(([name, content]) => {
    const file = join(folder, name);
    if ("text" in content) return parseManifest(file, content.text);
    return { resources: [], warnings: [], problems: [{ file, line: 1, field: "", text: content.problem }] };
  });
  const resources = manifests.flatMap((manifest) => manifest.resources);
  const warnings = manifests.flatMap((manifest) => manifest.warnings);
  const problems = [...manifests.flatMap((manifest) => manifest.problems), ...findConflicts(resources)];
  if (problems.length > 0) return { ok: false, problems, warnings };
  return {
    ok: true,
    resources: new ResourceSet(resources),
    warnings: [
      ...warnings,
      ...findDanglingReferences(resources),
      ...findUnreachableWorkloads(resources),
      ...findTakenPorts(resources),
    ],
  };
}
