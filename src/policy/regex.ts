import { RE2JS } from "re2js";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import type { Regex } from "./route-match.ts";

/** Characters of a pattern. The Gateway API allows 4,096 in a header value and 1,024 in a path. */
export const REGEX_SOURCE_MAX = 4096;

/** Instructions of a compiled pattern. Beyond it even a value of ordinary length takes too long. */
export const REGEX_PROGRAM_MAX = 1024;

/**
 * Instructions times characters that one match may cost: about 40 ms at worst, measured with patterns made to defeat
 * the engine's state cache. No turn of the event loop may last 50 ms.
 */
export const REGEX_WORK_MAX = 2 ** 20;

/**
 * Compiles a pattern of RE2 syntax: no back-references, no look-around, linear time.
 *
 * `\d`, `\w` and `\b` mean ASCII; Rust's `regex` reads them as Unicode, which makes a difference only for values that
 * are not ASCII.
 *
 * Source: linkerd2-proxy, linkerd/http/route/src/http/match/path.rs (the match is found, then must span the value).
 */
export function compileRegex(source: string): Parsed<Regex> {
  if (source.length > REGEX_SOURCE_MAX) {
    return unparsed(`a regular expression of ${source.length} characters exceeds ${REGEX_SOURCE_MAX}`);
  }
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(source);
  } catch (error) {
    return unparsed(`"${source}" is not a regular expression: ${problemOf(error)}`);
  }
  const size = compiled.programSize();
  if (size > REGEX_PROGRAM_MAX) {
    return unparsed(`"${source}" compiles to ${size} instructions, more than ${REGEX_PROGRAM_MAX}`);
  }
  return parsed(new LinearRegex(source, compiled, size));
}

class LinearRegex implements Regex {
  readonly source: string;
  readonly maxLength: number;
  readonly #compiled: RE2JS;

  constructor(source: string, compiled: RE2JS, programSize: number) {
    this.source = source;
    this.maxLength = Math.floor(REGEX_WORK_MAX / Math.max(1, programSize));
    this.#compiled = compiled;
  }

  matchesWhole(text: string): boolean {
    if (text.length > this.maxLength) return false;
    // The state machine answers "could any match span it?" quickly; only then is the preferred match looked for.
    if (!this.#compiled.testExact(text)) return false;
    // A leftmost match that spans the value starts at 0, so anchoring the search there changes nothing.
    const matcher = this.#compiled.matcher(text);
    return matcher.lookingAt() && matcher.end() === text.length;
  }
}

function problemOf(error: unknown): string {
  return error instanceof Error ? error.message.replace("error parsing regexp: ", "") : String(error);
}
