import { isMap, LineCounter, parseAllDocuments } from "yaml";
import { childOf, found, isNothing, report, reportMismatch, warn, type Found, type Sheet } from "./found.ts";
import { KINDS, type AnyResource } from "./kinds.ts";
import type { Problem } from "./problem.ts";
import { BAD, listOf, text } from "./reader.ts";

/** What one file holds. Problems spoil it; warnings do not. */
export interface Manifest {
  readonly resources: readonly AnyResource[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** Reads the YAML (or JSON) documents of one file and reports everything that is wrong with them, not only the first thing. */
export function parseManifest(file: string, source: string): Manifest {
  const lines = new LineCounter();
  const documents = parseAllDocuments(source, { lineCounter: lines, prettyErrors: false });
  const resources: AnyResource[] = [];
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const lineOf = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  // An empty file parses to an empty array with a `empty` mark of the library: nothing to iterate.
  for (const document of documents) {
    for (const error of document.errors) {
      problems.push({
        file,
        line: lineOf(error.pos[0]),
        field: "",
        text: `not readable as YAML: ${error.message}`,
      });
    }
    if (document.errors.length > 0 || document.contents === null) continue;
    const sheet: Sheet = { file, lineOf, resolve: (alias) => alias.resolve(document), problems, warnings };
    readDocument(found(sheet, document.contents, "", 0), resources);
  }
  return { resources, problems, warnings };
}

function readDocument(document: Found, into: AnyResource[]): void {
  if (isNothing(document)) return;
  if (!isMap(document.node))
    return reportMismatch(document, "a resource: a map with apiVersion, kind and metadata");
  const apiVersion = requiredText(document, "apiVersion");
  const kind = requiredText(document, "kind");
  if (apiVersion === undefined || kind === undefined) return;
  if (apiVersion === "v1" && kind === "List") return readList(document, into);
  const slash = apiVersion.indexOf("/");
  const group = slash < 0 ? "" : apiVersion.slice(0, slash);
  const version = apiVersion.slice(slash + 1);
  const known = KINDS.find((candidate) => candidate.kind === kind && candidate.group === group);
  if (known === undefined) {
    return warn(document, `${kind} of ${apiVersion} is not read by this control plane and has no effect`);
  }
  if (!known.versions.some((candidate) => candidate === version)) {
    const versions = known.versions.map((candidate) => (group === "" ? candidate : `${group}/${candidate}`));
    return reportMismatch(childOf(document, "apiVersion") ?? document, versions.join(" or "));
  }
  const resource = known.read(document);
  if (resource !== BAD) into.push(resource);
}

function readList(document: Found, into: AnyResource[]): void {
  const items = childOf(document, "items");
  if (items === undefined) return;
  listOf((item) => {
    readDocument(item, into);
    return true;
  })(items);
}

function requiredText(document: Found, key: string): string | undefined {
  const value = childOf(document, key);
  if (value === undefined) {
    report({ ...document, path: key }, "found nothing, expected a value: the field is required");
    return undefined;
  }
  const read = text(value);
  return read === BAD ? undefined : read;
}
