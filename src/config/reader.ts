import type { DefaultedVariable, Variable } from "./env-names.ts";

/** Where the text of a variable comes from: the environment, a file, or a test's own map. Undefined is unset. */
export type Strings = (name: string) => string | undefined;

/** What loading needs to know of files; it reads none. */
export interface Files {
  isDirectory(path: string): boolean;
  /** Bytes in a readable regular file, or undefined. */
  size(path: string): number | undefined;
}

/** Values longer than this are cut in problem texts. */
const SHOWN_MAX = 120;

/** Reads variables and gathers what is wrong with them. */
export class Reader {
  readonly problems: string[] = [];
  readonly #strings: Strings;

  constructor(strings: Strings) {
    this.#strings = strings;
  }

  isSet(variable: Variable<unknown>): boolean {
    return this.#strings(variable.name) !== undefined;
  }

  /** The value, or undefined where it is unset or wrong. */
  optional<T>(variable: Variable<T>): T | undefined {
    const text = this.#strings(variable.name);
    if (text === undefined) return undefined;
    const value = variable.grammar.parse(text);
    if (value.ok) return value.value;
    this.invalid(variable, value.problem);
    return undefined;
  }

  /** The value, or the default where it is unset or wrong. */
  value<T>(variable: DefaultedVariable<T>): T {
    const text = this.#strings(variable.name);
    if (text !== undefined) {
      const value = variable.grammar.parse(text);
      if (value.ok) return value.value;
      this.invalid(variable, value.problem);
    }
    const fallback = variable.grammar.parse(variable.defaultText);
    if (!fallback.ok) throw new Error(`the default of ${variable.name} is not valid: ${fallback.problem}`);
    return fallback.value;
  }

  /** The value; unset is a problem. */
  required<T>(variable: Variable<T>): T | undefined {
    if (!this.isSet(variable)) this.problems.push(`${variable.name} must be set: ${variable.sentence}`);
    return this.optional(variable);
  }

  invalid(variable: Variable<unknown>, problem: string, expected = variable.grammar.expected): void {
    const shown = JSON.stringify(shorten(this.#strings(variable.name) ?? ""));
    this.problems.push(`${variable.name}=${shown} is not valid: ${shorten(problem)}, expected ${expected}`);
  }
}

/** What a message shows of a value that may be long. */
export function shorten(text: string): string {
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}...` : text;
}
