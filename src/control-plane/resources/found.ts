import { isAlias, isMap, isScalar, isSeq, type Alias, type Node } from "yaml";
import type { Origin, Problem } from "./problem.ts";

/** One YAML document while it is read: where things stand in it, and what was wrong with them. */
export interface Sheet {
  readonly file: string;
  /** The line, from 1, of a character offset. */
  lineOf(offset: number): number;
  resolve(alias: Alias): Node | undefined;
  readonly problems: Problem[];
  readonly warnings: Problem[];
}

/** A value as it was found: its node, its path from the document's root, and where to point when it is missing. */
export interface Found {
  readonly sheet: Sheet;
  readonly node: Node | undefined;
  readonly path: string;
  readonly offset: number;
}

/** Wraps a node; aliases are followed. */
export function found(sheet: Sheet, node: unknown, path: string, fallbackOffset: number): Found {
  // The parser puts nodes, or null, wherever its types say `unknown`.
  const raw = (node ?? undefined) as Node | undefined;
  const target = isAlias(raw) ? sheet.resolve(raw) : raw;
  return { sheet, node: target, path, offset: raw?.range?.[0] ?? fallbackOffset };
}

/** The value under `key` of a map, or undefined if the map does not have it or holds null. */
export function childOf(parent: Found, key: string): Found | undefined {
  if (!isMap(parent.node)) return undefined;
  const pair = parent.node.items.find((item) => isScalar(item.key) && item.key.value === key);
  if (pair === undefined) return undefined;
  const child = found(parent.sheet, pair.value, join(parent.path, key), parent.offset);
  return isNothing(child) ? undefined : child;
}

/** Absent, or null, which Kubernetes treats alike. */
export function isNothing(value: Found): boolean {
  return value.node === undefined || (isScalar(value.node) && value.node.value === null);
}

export function originOf(value: Found): Origin {
  return { file: value.sheet.file, line: value.sheet.lineOf(value.offset) };
}

export function report(at: Found, text: string): void {
  at.sheet.problems.push({ ...originOf(at), field: at.path, text });
}

export function warn(at: Found, text: string): void {
  at.sheet.warnings.push({ ...originOf(at), field: at.path, text });
}

/** Reports a value that is not what it should be. */
export function reportMismatch(at: Found, expected: string): void {
  report(at, `found ${describe(at)}, expected ${expected}`);
}

/** Appends a key to a path; keys that contain dots or slashes are put in brackets. */
export function join(path: string, key: string): string {
  if (!/^[A-Za-z0-9_-]+$/.test(key)) return `${path}[${shortened(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}

/** A value in a few words. */
export function describe(value: Found): string {
  const { node } = value;
  if (isMap(node)) return "a map";
  if (isSeq(node)) return "a list";
  if (!isScalar(node) || node.value === null) return "nothing";
  if (typeof node.value === "string") return `"${shortened(node.value)}"`;
  // Only numbers and booleans are left: the core schema knows nothing else.
  return `${typeof node.value} ${shortened(JSON.stringify(node.value))}`;
}

/** Characters of a foreign value that a message repeats. */
const SHOWN_LENGTH = 80;

function shortened(text: string): string {
  return text.length <= SHOWN_LENGTH ? text : `${text.slice(0, SHOWN_LENGTH)}...`;
}
