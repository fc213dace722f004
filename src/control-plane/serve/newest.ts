import { toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import type { Cluster } from "../index/cluster.ts";
import type { Lookup } from "../index/lookup.ts";
import { errorOf, nothing, type Step } from "./open-streams.ts";

/** What becomes of a stream whose question has no answer any more. */
export type WhenLost = "stay_silent" | "end";

/**
 * Turns a question into a stream of whole messages: the first at once, each later one only if its bytes differ.
 *
 * @param supersedes whether a new message may follow the last one; if not, the stream stays on the last.
 */
export function newest<D extends DescMessage>(
  schema: D,
  find: (cluster: Cluster) => Lookup<MessageShape<D>>,
  whenLost: WhenLost,
  supersedes: (last: MessageShape<D>, next: MessageShape<D>) => boolean = () => true,
): (cluster: Cluster) => Step<MessageShape<D>> {
  let last: { readonly message: MessageShape<D>; readonly bytes: Uint8Array } | undefined;
  return (cluster) => {
    const found = find(cluster);
    if (!found.ok) {
      if (last !== undefined && whenLost === "stay_silent") return nothing();
      return { kind: "end", error: errorOf(found) };
    }
    const bytes = toBinary(schema, found.value, OWN_FIELDS);
    if (last !== undefined) {
      if (Buffer.compare(bytes, last.bytes) === 0 || !supersedes(last.message, found.value)) return nothing();
    }
    last = { message: found.value, bytes };
    return { kind: "send", messages: [found.value] };
  };
}

/** Nothing here was received, so there are no unknown fields to carry. */
const OWN_FIELDS = { writeUnknownFields: false } as const;
