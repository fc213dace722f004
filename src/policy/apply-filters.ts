import { ProxyError } from "../errors/proxy-error.ts";
import { assertNever } from "../parsed.ts";
import type { HeaderField } from "../wire/header-field.ts";
import type { Filter, Ratio } from "./filter.ts";
import { applyHeaderModifier } from "./header-modifier.ts";
import { redirectLocation } from "./redirect.ts";
import type { RequestView } from "./request-view.ts";

/** A request whose fields filters may change. */
export interface FilteredRequest extends RequestView {
  readonly fields: HeaderField[];
}

/**
 * Applies the filters of a rule or backend to a request, in order, changing its fields in place.
 *
 * @param prefixLength of the route match, for redirects.
 * @param random uniform in [0, 1), for injected failures.
 * @returns the error to answer with (`redirected`, `injected_failure`, `invalid_policy`), undefined to go on.
 */
export function applyRequestFilters(
  filters: readonly Filter[],
  request: FilteredRequest,
  prefixLength: number | undefined,
  random: () => number,
): ProxyError | undefined {
  for (const filter of filters) {
    const error = applyRequestFilter(filter, request, prefixLength, random);
    if (error !== undefined) return error;
  }
  return undefined;
}

/** Applies the response header modifiers among the filters, in order, in place. */
export function applyResponseFilters(filters: readonly Filter[], fields: HeaderField[]): void {
  for (const filter of filters) {
    if (filter.kind === "response_headers") applyHeaderModifier(filter.modifier, fields);
  }
}

/** Whether `applyResponseFilters` would do anything: if not, nobody has to look at the response. */
export function changesResponse(filters: readonly Filter[]): boolean {
  return filters.some((filter) => filter.kind === "response_headers");
}

function applyRequestFilter(
  filter: Filter,
  request: FilteredRequest,
  prefixLength: number | undefined,
  random: () => number,
): ProxyError | undefined {
  switch (filter.kind) {
    case "request_headers":
      applyHeaderModifier(filter.modifier, request.fields);
      return undefined;
    case "response_headers":
      return undefined;
    case "redirect": {
      const location = redirectLocation(filter, request, prefixLength);
      if (!location.ok) return new ProxyError("invalid_policy", location.problem);
      if (location.value === undefined) return undefined;
      return new ProxyError("redirected", "redirected", {
        status: filter.status,
        location: location.value,
        side: "proxy",
      });
    }
    case "http_failure":
      if (!happens(filter.ratio, random)) return undefined;
      return new ProxyError("injected_failure", filter.message, { status: filter.status, side: "proxy" });
    case "grpc_failure":
      if (!happens(filter.ratio, random)) return undefined;
      return new ProxyError("injected_failure", filter.message, {
        // A request that is not gRPC has no other way to hear of it than an empty 200.
        status: 200,
        grpcStatus: filter.code,
        side: "proxy",
      });
    case "internal_error":
      return new ProxyError("invalid_policy", filter.message, { side: "proxy" });
    default:
      return assertNever(filter);
  }
}

function happens(ratio: Ratio, random: () => number): boolean {
  return random() * ratio.denominator < ratio.numerator;
}
