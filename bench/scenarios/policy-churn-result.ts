import { table } from "../harness/table.ts";

export interface PolicyChurnResult {
  readonly updates: number;
  readonly seconds: number;
  /** By client and protocol. */
  readonly exchanges: readonly {
    readonly who: string;
    readonly admitted: number;
    readonly refused: number;
  }[];
  /** For each version that a request was seen to be routed by: after how many milliseconds it first was. */
  readonly inForceAfterMs: readonly number[];
  /** Of each proxy, with the same load before and after the updates, garbage collected. */
  readonly memoryMiB: Readonly<Record<string, { readonly before: number; readonly after: number }>>;
  /** Mixtures, versions out of their time, decisions that no version made, answers that are none. */
  readonly failures: readonly string[];
}

/** What a proxy may have grown by. The versions of a policy take more than this if they are kept. */
const GROWTH_MAX_MIB = 4;

/** Share of the versions that requests were routed by. Updates that come close together are read as one, most of all where other tests run. */
const FULL_SEEN_MIN = 0.5;
const SHORT_SEEN_MIN = 0.1;
const FULL_SECONDS = 30;

export function policyChurnText(result: PolicyChurnResult): string {
  const { updates, seconds, exchanges, failures } = result;
  const rows = exchanges.map(({ who, admitted, refused }) => ({
    client: who,
    admitted: String(admitted),
    refused: String(refused),
  }));
  const memory = Object.entries(result.memoryMiB).map(
    ([proxy, { before, after }]) => `${proxy} ${before.toFixed(1)} to ${after.toFixed(1)}`,
  );
  const seen = result.inForceAfterMs.toSorted((a, b) => a - b);
  const at = (share: number): string => (seen[Math.floor(share * (seen.length - 1))] ?? NaN).toFixed(0);
  return (
    `${table(rows)}\n\n${updates} updates in ${seconds.toFixed(0)} s, ${seen.length} versions seen in force, after ` +
    `${at(0.5)} ms (median), ${at(0.99)} ms (p99), ${at(1)} ms (worst)\n` +
    `memory in use, MiB: ${memory.join(", ")}\n${failures.length} failures`
  );
}

/** What does not hold. */
export function brokenPromises(result: PolicyChurnResult): readonly string[] {
  const broken = [...result.failures];
  for (const [proxy, { before, after }] of Object.entries(result.memoryMiB)) {
    if (after - before > GROWTH_MAX_MIB)
      broken.push(`${proxy} grew from ${before.toFixed(1)} to ${after.toFixed(1)} MiB`);
  }
  for (const { who, admitted, refused } of result.exchanges) {
    if (admitted === 0 || refused === 0)
      broken.push(`${who}: ${admitted} admitted and ${refused} refused, expected both`);
  }
  const share = result.seconds >= FULL_SECONDS ? FULL_SEEN_MIN : SHORT_SEEN_MIN;
  if (result.inForceAfterMs.length < share * result.updates)
    broken.push(`only ${result.inForceAfterMs.length} of ${result.updates} versions were seen in force`);
  return broken;
}
