import { isMap, isScalar, isSeq } from "yaml";
import type { Parsed } from "../../parsed.ts";
import { found, isNothing, join, report, reportMismatch, type Found } from "./found.ts";

/** What a reader returns when it has reported a problem. */
export const BAD: unique symbol = Symbol("bad");
export type Bad = typeof BAD;

/** Reads one value, or reports every problem in it and returns `BAD`. */
export type Reader<T> = (value: Found) => T | Bad;

/** A field of an object: how it is read, and what holds when it is absent. */
export type Field<T> =
  | { readonly presence: "required"; readonly read: Reader<T> }
  | { readonly presence: "optional"; readonly read: Reader<T>; readonly absent: T };

export function required<T>(read: Reader<T>): Field<T> {
  return { presence: "required", read };
}

export function optional<T>(read: Reader<T>): Field<T | undefined> {
  return { presence: "optional", read, absent: undefined };
}

export function withDefault<T>(read: Reader<T>, absent: T): Field<T> {
  return { presence: "optional", read, absent };
}

export type Fields = Readonly<Record<string, Field<unknown>>>;
export type ObjectOf<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never;
};

/** A map with known fields. A field it does not know is a problem that names it. */
export function object<F extends Fields>(fields: F): Reader<ObjectOf<F>> {
  const known = Object.keys(fields).join(", ");
  return (value) => {
    const { node, sheet } = value;
    if (!isMap(node)) {
      reportMismatch(value, "a map");
      return BAD;
    }
    const present = new Map<string, Found>();
    let good = true;
    for (const item of node.items) {
      const key = found(sheet, item.key, "", value.offset);
      const name = isScalar(key.node) ? String(key.node.value) : "";
      const path = join(value.path, name);
      if (Object.hasOwn(fields, name)) {
        const child = found(sheet, item.value, path, key.offset);
        if (!isNothing(child)) present.set(name, child);
      } else {
        report({ ...key, path }, `found an unknown field, expected one of ${known}`);
        good = false;
      }
    }
    const result: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(fields)) {
      const child = present.get(name);
      if (child !== undefined) {
        const read = field.read(child);
        if (read === BAD) good = false;
        else result[name] = read;
      } else if (field.presence === "required") {
        const missing = { ...value, node: undefined, path: join(value.path, name) };
        report(missing, "found nothing, expected a value: the field is required");
        good = false;
      } else {
        result[name] = field.absent;
      }
    }
    // Each field was filled by its own reader or default, so the record has the mapped type.
    return good ? (result as ObjectOf<F>) : BAD;
  };
}

export interface ListBounds {
  readonly min?: number;
  readonly max?: number;
}

export function listOf<T>(read: Reader<T>, bounds: ListBounds = {}): Reader<readonly T[]> {
  return (value) => {
    if (!isSeq(value.node)) {
      reportMismatch(value, "a list");
      return BAD;
    }
    const { items } = value.node;
    const { min = 0, max = Infinity } = bounds;
    let good = true;
    if (items.length < min || items.length > max) {
      const range = max === Infinity ? `at least ${min}` : min === max ? `${min}` : `${min} to ${max}`;
      report(value, `found ${items.length} items, expected ${range}`);
      good = false;
    }
    const result: T[] = [];
    for (const [index, item] of items.entries()) {
      const read1 = read(found(value.sheet, item, `${value.path}[${index}]`, value.offset));
      if (read1 === BAD) good = false;
      else result.push(read1);
    }
    return good ? result : BAD;
  };
}

/** Text to text, as labels, annotations and selectors are. */
export const textMap: Reader<ReadonlyMap<string, string>> = (value) => {
  if (!isMap(value.node)) {
    reportMismatch(value, "a map of strings");
    return BAD;
  }
  let good = true;
  const result = new Map<string, string>();
  for (const item of value.node.items) {
    const key = found(value.sheet, item.key, "", value.offset);
    const name = isScalar(key.node) ? String(key.node.value) : "";
    const text1 = text(found(value.sheet, item.value, join(value.path, name), key.offset));
    if (text1 === BAD) good = false;
    else result.set(name, text1);
  }
  return good ? result : BAD;
};

/** Accepted and not looked at: status of resources, bookkeeping of the API server. */
export const anything: Reader<true> = () => true;

export const text: Reader<string> = (value) => {
  if (isScalar(value.node) && typeof value.node.value === "string") return value.node.value;
  const quote = isScalar(value.node) && value.node.value !== null ? " (put it in quotes)" : "";
  reportMismatch(value, `a string${quote}`);
  return BAD;
};

export const boolean: Reader<boolean> = (value) => {
  if (isScalar(value.node) && typeof value.node.value === "boolean") return value.node.value;
  reportMismatch(value, "true or false");
  return BAD;
};

export function integer(min: number, max: number): Reader<number> {
  return (value) => {
    const number = isScalar(value.node) ? value.node.value : undefined;
    if (typeof number === "number" && Number.isInteger(number) && number >= min && number <= max)
      return number;
    reportMismatch(value, `a whole number from ${min} to ${max}`);
    return BAD;
  };
}

export const portNumber: Reader<number> = integer(1, 65535);

/** One of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): Reader<T> {
  return (value) => {
    const word = isScalar(value.node) ? value.node.value : undefined;
    const match = words.find((candidate) => candidate === word);
    if (match !== undefined) return match;
    reportMismatch(value, words.length === 1 ? `${words[0]}` : `one of ${words.join(", ")}`);
    return BAD;
  };
}

/** A number, whole or not, such as a ratio. */
export function number(min: number, max: number): Reader<number> {
  return (value) => {
    const raw = isScalar(value.node) ? value.node.value : undefined;
    if (typeof raw === "number" && raw >= min && raw <= max) return raw;
    reportMismatch(value, `a number from ${min} to ${max}`);
    return BAD;
  };
}

/** Text that a parser understands. */
export function parsedText<T>(expected: string, parse: (text: string) => Parsed<T>): Reader<T> {
  return (value) => {
    const raw = text(value);
    if (raw === BAD) return BAD;
    const result = parse(raw);
    if (result.ok) return result.value;
    reportMismatch(value, expected);
    return BAD;
  };
}

/** Text that matches a pattern. */
export function textLike(pattern: RegExp, expected: string): Reader<string> {
  return (value) => {
    const raw = text(value);
    if (raw === BAD || pattern.test(raw)) return raw;
    reportMismatch(value, expected);
    return BAD;
  };
}

/** Reads further what another reader accepted. `next` reports at the value itself. */
export function refine<A, B>(read: Reader<A>, next: (value: A, at: Found) => B | Bad): Reader<B> {
  return (value) => {
    const first = read(value);
    return first === BAD ? BAD : next(first, value);
  };
}

/** A port by number or by name, as `targetPort` and Server ports are written. */
export const portOrName: Reader<number | string> = (value) => {
  const raw = isScalar(value.node) ? value.node.value : undefined;
  if (typeof raw === "number" && Number.isInteger(raw) && raw >= 1 && raw <= 65535) return raw;
  if (typeof raw === "string" && /^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/.test(raw) && /[a-z]/.test(raw))
    return raw;
  reportMismatch(value, "a port from 1 to 65535 or the name of a port");
  return BAD;
};
