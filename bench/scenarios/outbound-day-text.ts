import { table } from "../harness/table.ts";
import { percent, type Failure, type OutboundDayResult } from "./outbound-day-result.ts";

/** What a day was like, for a terminal. */
export function outboundDayText(result: OutboundDayResult): string {
  const { requests, failures, retries, deliveries, incidents, tooOften, slow } = result;
  const sent = requests.read + requests.order;
  const paragraphs = [
    table(
      incidents.map(({ kind, share }) => ({
        incident: kind,
        "its endpoint's share of the requests in the later half": percent(share),
      })),
    ),
    table(failureRows(failures)),
    [
      `${requests.read} reads and ${requests.order} orders, ${failures.length} failures: ` +
        `${percent(1 - failures.length / sent)} succeeded`,
      `${deliveries} deliveries, ${retries} retries, ${tooOften.length} requests sent too often`,
      `slow endpoint, from 2 s on: ${percent(slow.toSlow / slow.deliveries)} of ${slow.deliveries} requests, ` +
        `some in ${slow.touched} of ${slow.windows} windows of 100 ms`,
    ].join("\n"),
  ];
  return paragraphs.filter((text) => text.trim() !== "").join("\n\n");
}

function failureRows(failures: readonly Failure[]): Record<string, string>[] {
  const counts = new Map<string, { readonly failure: Failure; count: number }>();
  for (const failure of failures) {
    const key = JSON.stringify([failure.kind, failure.after, failure.cause]);
    const counted = counts.get(key) ?? { failure, count: 0 };
    counts.set(key, { failure, count: counted.count + 1 });
  }
  return [...counts.values()].map(({ failure, count }) => ({
    failed: failure.kind,
    after: failure.after ?? "nothing",
    cause: failure.cause,
    count: String(count),
  }));
}
