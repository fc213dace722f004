import type { HeaderName } from "../wire/header-field.ts";

/** A pattern that matches in linear time and must span the whole value. Made by `policy/regex.ts` alone. */
export interface Regex {
  readonly source: string;
  /** Characters of the longest value that can be judged in bounded time. Longer values match nothing, and `findRoute` refuses their request. */
  readonly maxLength: number;
  /** Whether the leftmost-first match covers all of `text`: `a|ab` therefore does not match "ab". */
  matchesWhole(text: string): boolean;
}

export type HostMatch =
  | { readonly kind: "exact"; readonly host: string }
  /** Labels from the right: `["com", "example"]` is `*.example.com`; at least one more label must be there. */
  | { readonly kind: "suffix"; readonly reverseLabels: readonly string[] };

export type PathMatch =
  | { readonly kind: "exact"; readonly path: string }
  | { readonly kind: "prefix"; readonly prefix: string }
  | { readonly kind: "regex"; readonly regex: Regex };

export type HeaderMatch =
  | { readonly kind: "exact"; readonly name: HeaderName; readonly value: string }
  | { readonly kind: "regex"; readonly name: HeaderName; readonly regex: Regex };

export type QueryMatch =
  | { readonly kind: "exact"; readonly name: string; readonly value: string }
  | { readonly kind: "regex"; readonly name: string; readonly regex: Regex };

/** All conditions must hold. */
export interface HttpMatch {
  readonly path: PathMatch | undefined;
  readonly headers: readonly HeaderMatch[];
  readonly query: readonly QueryMatch[];
  readonly method: string | undefined;
}

/** Undefined or empty service and method match anything of the form `/service/method`. */
export interface GrpcMatch {
  readonly service: string | undefined;
  readonly method: string | undefined;
  readonly headers: readonly HeaderMatch[];
}

/** A route: rules for some hosts. `hosts` empty means any host. Order in lists breaks ties. */
export interface Route<Match, Rule extends { readonly matches: readonly Match[] }> {
  readonly hosts: readonly HostMatch[];
  readonly rules: readonly Rule[];
}
