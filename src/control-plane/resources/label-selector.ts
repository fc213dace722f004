import { assertNever } from "../../parsed.ts";
import { report } from "./found.ts";
import {
  BAD,
  listOf,
  object,
  oneOf,
  required,
  text,
  textMap,
  refine,
  withDefault,
  type Reader,
} from "./reader.ts";

/** Chooses resources by their labels. All requirements must hold; none at all chooses everything. */
export interface LabelSelector {
  readonly labels: ReadonlyMap<string, string>;
  readonly expressions: readonly LabelExpression[];
}

export interface LabelExpression {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values: readonly string[];
}

const expression: Reader<LabelExpression> = refine(
  object({
    key: required(text),
    operator: required(oneOf("In", "NotIn", "Exists", "DoesNotExist")),
    values: withDefault(listOf(text), []),
  }),
  (value, at) => {
    const needsValues = value.operator === "In" || value.operator === "NotIn";
    if (needsValues === value.values.length > 0) return value;
    const expected = needsValues ? "at least one" : "none";
    report(
      { ...at, path: `${at.path}.values` },
      `found ${value.values.length} values for ${value.operator}, expected ${expected}`,
    );
    return BAD;
  },
);

const NO_LABELS: ReadonlyMap<string, string> = new Map();

export const labelSelector: Reader<LabelSelector> = refine(
  object({
    matchLabels: withDefault(textMap, NO_LABELS),
    matchExpressions: withDefault(listOf(expression), []),
  }),
  (value) => ({ labels: value.matchLabels, expressions: value.matchExpressions }),
);

export function selects(selector: LabelSelector, labels: ReadonlyMap<string, string>): boolean {
  return hasLabels(selector.labels, labels) && selector.expressions.every((e) => holds(e, labels));
}

/** Whether every wanted label is there with that value. */
export function hasLabels(wanted: ReadonlyMap<string, string>, labels: ReadonlyMap<string, string>): boolean {
  for (const [key, value] of wanted) if (labels.get(key) !== value) return false;
  return true;
}

/** As Kubernetes has it, NotIn also holds where the label is absent. */
function holds(e: LabelExpression, labels: ReadonlyMap<string, string>): boolean {
  const value = labels.get(e.key);
  switch (e.operator) {
    case "In":
      return value !== undefined && e.values.includes(value);
    case "NotIn":
      return value === undefined || !e.values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    default:
      return assertNever(e.operator);
  }
}
