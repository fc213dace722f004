import { status, type ServerWritableStream } from "@grpc/grpc-js";
import type { Watch } from "../../watch/watch.ts";
import type { Cluster } from "../index/cluster.ts";
import type { Lookup, LookupStatus } from "../index/lookup.ts";

/** What a stream does about one state of the cluster. */
export type Step<M> =
  | { readonly kind: "send"; readonly messages: readonly M[] }
  /** The end with OK: the client asks again. */
  | { readonly kind: "finish" }
  | { readonly kind: "end"; readonly error: GrpcError };

export interface GrpcError {
  readonly code: status;
  readonly details: string;
}

const CODES: Readonly<Record<LookupStatus, status>> = {
  invalid_argument: status.INVALID_ARGUMENT,
  not_found: status.NOT_FOUND,
  failed_precondition: status.FAILED_PRECONDITION,
  unknown: status.UNKNOWN,
};

export function errorOf(failed: Extract<Lookup<unknown>, { ok: false }>): GrpcError {
  return { code: CODES[failed.status], details: failed.message };
}

export function nothing<M>(): Step<M> {
  return { kind: "send", messages: [] };
}

/** The server streams under way: each follows the cluster until its client leaves, or until all are ended at shutdown. */
export class OpenStreams {
  readonly #cluster: Watch<Cluster>;
  readonly #ends = new Set<() => void>();

  constructor(cluster: Watch<Cluster>) {
    this.#cluster = cluster;
  }

  /**
   * Serves a call: `next` is asked now and after every change of the cluster, and its messages are sent. While the client
   * is slow it is not asked, so that a client gets the newest state and not a queue of old ones.
   */
  serve<Q, M>(call: ServerWritableStream<Q, M>, next: (cluster: Cluster) => Step<M>): void {
    const left = new AbortController();
    let blocked = false;
    let stale = false;
    const end = (): void => {
      if (left.signal.aborted) return;
      left.abort();
      this.#ends.delete(finish);
    };
    const finish = (): void => {
      end();
      call.end();
    };
    const advance = (): void => {
      if (left.signal.aborted) return;
      stale = blocked;
      if (blocked) return;
      const step = next(this.#cluster.value);
      if (step.kind === "finish") {
        finish();
        return;
      }
      if (step.kind === "end") {
        end();
        call.emit("error", step.error);
        return;
      }
      for (const message of step.messages) if (!call.write(message)) blocked = true;
    };
    call.on("drain", () => {
      blocked = false;
      if (stale) advance();
    });
    call.on("cancelled", end);
    call.on("close", end);
    this.#ends.add(finish);
    this.#cluster.subscribe(left.signal, advance);
    advance();
  }

  /** Ends all streams with OK: their clients ask again, elsewhere or later. */
  endAll(): void {
    for (const finish of [...this.#ends]) finish();
  }
}
