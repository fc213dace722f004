import { toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import type { Cluster } from "../index/cluster.ts";
import type { Lookup } from "../index/lookup.ts";
import { errorOf, nothing, type Step } from "./open-streams.ts";

/**
 * What becomes of a stream: it goes on with the next answer, stays on its last, or ends. `finish` ends it with OK, so
 * that the client asks again and learns whatever holds now; `end` with the reason why there is no answer.
 */
export type Change = "send" | "stay_silent" | "finish" | "end";

/**
 * Turns a question into a stream of whole messages: the first at once, each later one only if its bytes differ.
 *
 * @param change asked when the answer differs from the last one, or is lost: then `next` is undefined.
 */
export function newest<D extends DescMessage>(
  schema: D,
  find: (cluster: Cluster) => Lookup<MessageShape<D>>,
  change: (last: MessageShape<D>, next: MessageShape<D> | undefined) => Change,
): (cluster: Cluster) => Step<MessageShape<D>> {
  let last: { readonly message: MessageShape<D>; readonly bytes: Uint8Array } | undefined;
  return (cluster) => {
    const found = find(cluster);
    const next = found.ok ? found.value : undefined;
    const bytes = next && toBinary(schema, next, OWN_FIELDS);
    if (last !== undefined) {
      if (bytes !== undefined && Buffer.compare(bytes, last.bytes) === 0) return nothing();
      const what = change(last.message, next);
      if (what === "stay_silent") return nothing();
      if (what === "finish") return { kind: "finish" };
    }
    if (!found.ok) return { kind: "end", error: errorOf(found) };
    last = { message: found.value, bytes: bytes ?? toBinary(schema, found.value, OWN_FIELDS) };
    return { kind: "send", messages: [found.value] };
  };
}

/** Nothing here was received, so there are no unknown fields to carry. */
const OWN_FIELDS = { writeUnknownFields: false } as const;
