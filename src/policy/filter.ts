import type { HeaderName } from "../wire/header-field.ts";

/** Applied in this order: add (append), set (replace all), remove. */
export interface HeaderModifier {
  readonly add: readonly (readonly [HeaderName, string])[];
  readonly set: readonly (readonly [HeaderName, string])[];
  readonly remove: readonly HeaderName[];
}

export type PathModifier =
  | { readonly kind: "full"; readonly path: string }
  | { readonly kind: "prefix"; readonly replacement: string };

/** A share of requests: numerator <= denominator, denominator > 0. */
export interface Ratio {
  readonly numerator: number;
  readonly denominator: number;
}

export type Filter =
  | { readonly kind: "request_headers"; readonly modifier: HeaderModifier }
  | { readonly kind: "response_headers"; readonly modifier: HeaderModifier }
  | {
      readonly kind: "redirect";
      readonly scheme: string | undefined;
      readonly host: string | undefined;
      readonly port: number | undefined;
      readonly path: PathModifier | undefined;
      readonly status: number;
    }
  | {
      readonly kind: "http_failure";
      readonly status: number;
      readonly message: string;
      readonly ratio: Ratio;
    }
  | { readonly kind: "grpc_failure"; readonly code: number; readonly message: string; readonly ratio: Ratio }
  /** The policy could not be understood: requests that come here fail with 500. */
  | { readonly kind: "internal_error"; readonly message: string };
