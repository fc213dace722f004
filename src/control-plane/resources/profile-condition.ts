import { childOf, report, warn, type Found } from "./found.ts";
import { BAD, integer, listOf, object, optional, refine, textLike, type Bad, type Reader } from "./reader.ts";
import { regex } from "./words.ts";

/** A test, or an expression over tests. */
export type Condition<Test> =
  | Test
  | { readonly kind: "all" | "any"; readonly of: readonly Condition<Test>[] }
  | { readonly kind: "not"; readonly of: Condition<Test> };

/** What a ServiceProfile's route tests of requests. */
export type RequestTest =
  | { readonly kind: "path"; readonly regex: string }
  | { readonly kind: "method"; readonly method: string };

/** What its classes test of responses: the status, both ends included. Zero stands for a bound that is not written. */
export interface StatusTest {
  readonly kind: "status";
  readonly min: number;
  readonly max: number;
}

export type RequestCondition = Condition<RequestTest>;
export type ResponseCondition = Condition<StatusTest>;

/** Parts of one expression. Anchors of YAML could make a short file an endless one. */
const PARTS_MAX = 256;

/** Source: linkerd2, controller/api/destination/profile_translator.go (`toRequestMatch`). */
export const requestCondition: Reader<RequestCondition> = expression<RequestTest>((part) =>
  refine(
    object({
      all: optional(listOf(part)),
      any: optional(listOf(part)),
      method: optional(textLike(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "an HTTP method")),
      not: optional(part),
      pathRegex: optional(regex),
    }),
    ({ all, any, method, not, pathRegex }, at) =>
      together<RequestTest>(at, "all, any, method, not or pathRegex", [
        all && { kind: "all", of: all },
        any && { kind: "any", of: any },
        method === undefined ? undefined : { kind: "method", method: method.toUpperCase() },
        not && { kind: "not", of: not },
        pathRegex === undefined ? undefined : { kind: "path", regex: pathRegex },
      ]),
  ),
);

const status = integer(100, 599);

const statusRange: Reader<StatusTest> = refine(
  object({ min: optional(status), max: optional(status) }),
  ({ min = 0, max = 0 }, at) => {
    if (min !== 0 && max !== 0 && max < min) {
      report(childOf(at, "max") ?? at, `found ${max}, expected at least the min of ${min}`);
      return BAD;
    }
    if (min === 0 || max === 0)
      warn(at, "found one bound, expected min and max: proxies pass this condition over");
    return { kind: "status", min, max };
  },
);

/** Source: as above (`toResponseMatch`). */
export const responseCondition: Reader<ResponseCondition> = expression<StatusTest>((part) =>
  refine(
    object({
      all: optional(listOf(part)),
      any: optional(listOf(part)),
      status: optional(statusRange),
      not: optional(part),
    }),
    ({ all, any, status, not }, at) =>
      together<StatusTest>(at, "all, any, status or not", [
        all && { kind: "all", of: all },
        any && { kind: "any", of: any },
        status,
        not && { kind: "not", of: not },
      ]),
  ),
);

/** Reads an expression whose parts are expressions, as many as are allowed. */
function expression<T>(reader: (part: Reader<Condition<T>>) => Reader<Condition<T>>): Reader<Condition<T>> {
  return (root) => {
    let parts = 0;
    const read = reader((at) => {
      parts += 1;
      if (parts <= PARTS_MAX) return read(at);
      // Once: what follows would say the same.
      if (parts === PARTS_MAX + 1) report(at, `found more than ${PARTS_MAX} conditions, expected fewer`);
      return BAD;
    });
    return read(root);
  };
}

/** Several fields of one condition must all hold. */
function together<T>(
  at: Found,
  names: string,
  written: readonly (Condition<T> | undefined)[],
): Condition<T> | Bad {
  const present = written.filter((part) => part !== undefined);
  const [only] = present;
  if (only === undefined) {
    report(at, `found no condition, expected ${names}`);
    return BAD;
  }
  return present.length === 1 ? only : { kind: "all", of: present };
}
