/** Something that makes a service of the same shape around another one. `S` is whatever the stack passes along. */
export type Layer<S> = (inner: S) => S;

/**
 * Builds a stack: layers in the order in which a request meets them, outermost first, around the leaf.
 *
 * A layer that a target does not need is `undefined` in the list and costs nothing later. Stacks are built once per
 * target, never per request.
 */
export function compose<S>(layers: readonly (Layer<S> | undefined)[], leaf: S): S {
  let service = leaf;
  for (const layer of layers.toReversed()) {
    if (layer !== undefined) service = layer(service);
  }
  return service;
}
