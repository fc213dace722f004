import { childOf, join, originOf, type Found } from "./found.ts";
import type { Origin } from "./problem.ts";
import {
  anything,
  BAD,
  listOf,
  object,
  optional,
  required,
  text,
  textMap,
  refine,
  withDefault,
  type Bad,
  type Fields,
  type ObjectOf,
  type Reader,
} from "./reader.ts";
import { labelName, resourceName } from "./words.ts";

/** What every resource says about itself. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  /** RFC 3339, or "" where nobody has written it: such resources count as the oldest. */
  readonly createdAt: string;
  /** Kind and name of the controller that made the resource. */
  readonly owner: { readonly kind: string; readonly name: string } | undefined;
}

/** A resource with its place, so that later checks can point at it. */
export interface Resource {
  readonly meta: ObjectMeta;
  readonly origin: Origin;
}

const NO_TEXTS: ReadonlyMap<string, string> = new Map();
const DEFAULT_NAMESPACE = "default";

const owner = object({
  apiVersion: optional(text),
  kind: required(text),
  name: required(text),
  uid: optional(anything),
  controller: optional(anything),
  blockOwnerDeletion: optional(anything),
});

const objectMeta: Reader<ObjectMeta> = refine(
  object({
    name: required(resourceName),
    namespace: withDefault(labelName, DEFAULT_NAMESPACE),
    labels: withDefault(textMap, NO_TEXTS),
    annotations: withDefault(textMap, NO_TEXTS),
    creationTimestamp: withDefault(text, ""),
    ownerReferences: optional(listOf(owner)),
    uid: optional(anything),
    resourceVersion: optional(anything),
    generation: optional(anything),
    generateName: optional(anything),
    managedFields: optional(anything),
    finalizers: optional(anything),
    selfLink: optional(anything),
    deletionTimestamp: optional(anything),
    deletionGracePeriodSeconds: optional(anything),
  }),
  (meta) => ({
    name: meta.name,
    namespace: meta.namespace,
    labels: meta.labels,
    annotations: meta.annotations,
    createdAt: meta.creationTimestamp,
    owner: meta.ownerReferences?.[0],
  }),
);

/**
 * The reader of one kind: `fields` are those beside `metadata` (mostly `spec`), `build` makes the resource. `build` gets
 * the document too, for annotations and for reporting.
 */
export function resource<F extends Fields, R extends Resource>(
  fields: F,
  build: (base: Resource, fields: ObjectOf<F>, document: Found) => R | Bad,
): Reader<R> {
  const readFields = object({
    ...fields,
    apiVersion: required(text),
    kind: required(text),
    metadata: required(objectMeta),
    status: fields["status"] ?? optional(anything),
  });
  return (document) => {
    const value = readFields(document);
    if (value === BAD) return BAD;
    // Spreading loses the mapped type; the fields above are a superset of F with F's own readers.
    const own = value as unknown as ObjectOf<F> & { readonly metadata: ObjectMeta };
    return build({ meta: own.metadata, origin: originOf(document) }, own, document);
  };
}

/** Reads one annotation of a document. Undefined if it is absent; a bad one is reported where it stands. */
export function annotation<T>(document: Found, name: string, read: Reader<T>): T | undefined | Bad {
  const metadata = childOf(document, "metadata");
  const annotations = metadata && childOf(metadata, "annotations");
  const value = annotations && childOf(annotations, name);
  if (value === undefined) return undefined;
  return read({ ...value, path: join("metadata.annotations", name) });
}
