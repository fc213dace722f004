/** What the processes of the load and their parent say to each other. */
import type { HoldOptions } from "./idle-connections.ts";
import type { LoadSpec } from "./load-spec.ts";

/** To the load process, whose first message are its `ApplicationPorts`. */
export type LoadRequest =
  /** Answered with a `LoadResult`. */
  | { readonly kind: "run"; readonly spec: LoadSpec }
  /** Answered with the addresses. */
  | { readonly kind: "listen"; readonly addresses: number };

/** Connections are held for a run, or until they are released. */
export type HoldGroup = "run" | "held";

/** To the process that holds idle connections. Answered with how many stand in the group, before they are released. */
export type IdleRequest =
  | {
      readonly kind: "hold";
      readonly group: HoldGroup;
      readonly port: number;
      readonly count: number;
      readonly options: HoldOptions;
    }
  | { readonly kind: "release"; readonly group: HoldGroup };

export type LoadReply = { readonly answer: unknown } | { readonly problem: string };

/**
 * Answers each request of the parent with what `answer` returns, or with the problem it throws.
 *
 * @param answer may take for granted what it is asked: the parent is the bench, and sends nothing else than stands here.
 */
export function serveParent(answer: (request: unknown) => unknown): void {
  process.on("message", (request: unknown) => void reply(answer, request));
  process.on("disconnect", () => process.exit());
}

async function reply(answer: (request: unknown) => unknown, request: unknown): Promise<void> {
  let reply: LoadReply;
  try {
    reply = { answer: await answer(request) };
  } catch (error) {
    reply = { problem: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(reply);
}
