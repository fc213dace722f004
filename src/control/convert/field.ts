import { parsed, unparsed, type Parsed } from "../../parsed.ts";

/**
 * A value that a message must not have, with the way to it. Thrown and caught inside this folder alone: policies nest
 * ten levels deep, and a result to unwrap at each level would hide what the conversion says.
 */
class FieldProblem extends Error {
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** Runs a conversion; a problem becomes `http_routes[2].rules[0].timeout: is negative`. Other errors are bugs and pass. */
export function convert<T>(conversion: () => T): Parsed<T> {
  try {
    return parsed(conversion());
  } catch (error) {
    if (!(error instanceof FieldProblem)) throw error;
    return unparsed(error.path === "" ? error.message : `${error.path}: ${error.message}`);
  }
}

/** Ends the conversion. The callers' fields become the path. */
export function invalid(problem: string): never {
  throw new FieldProblem("", problem);
}

/** Converts the field `name`: problems inside are reported under it. Names are those of the .proto files. */
export function field<T>(name: string, conversion: () => T): T {
  try {
    return conversion();
  } catch (error) {
    if (!(error instanceof FieldProblem)) throw error;
    throw new FieldProblem(join(name, error.path), error.message);
  }
}

/** The value of a message field that has to be present. */
export function required<T, U>(name: string, value: T | undefined, conversion: (value: T) => U): U {
  return field(name, () => conversion(value ?? invalid("is missing")));
}

/** The value of a message field, or undefined where it is absent. */
export function optional<T, U>(
  name: string,
  value: T | undefined,
  conversion: (value: T) => U,
): U | undefined {
  return value === undefined ? undefined : field(name, () => conversion(value));
}

/** Every element of a repeated field, in order. */
export function each<T, U>(name: string, items: readonly T[], conversion: (item: T) => U): U[] {
  return items.map((item, i) => field(`${name}[${i}]`, () => conversion(item)));
}

/** The value, or the parser's problem as that of this field. */
export function valueOf<T>(result: Parsed<T>): T {
  return result.ok ? result.value : invalid(result.problem);
}

function join(outer: string, inner: string): string {
  return inner === "" ? outer : `${outer}.${inner}`;
}
