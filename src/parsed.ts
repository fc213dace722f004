/**
 * The result of reading text or bytes that came from outside: a value, or a problem in words fit for an operator.
 *
 * Parsers return it instead of throwing, because wrong input is an ordinary event.
 */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string };

export function parsed<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

export function unparsed(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem };
}

/** Marks a branch that the types say cannot be reached; reaching it is a bug and throws. */
export function assertNever(value: never): never {
  throw new Error(`unreachable variant: ${JSON.stringify(value)}`);
}
