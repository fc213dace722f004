import { copyRange } from "../../http/copy-range.ts";
import type { ResponseHead, ResponseSink } from "../../http/message.ts";
import type { Clock, Timer } from "../../time/clock.ts";

/**
 * A response that is held back because its trailers may decide about it: its head until the first frame of the body, and
 * that frame until the end of this turn of the event loop. Trailers that came with it have been seen by then; later ones
 * are not waited for.
 *
 * A turn and not a read: a server that writes a message and then its trailers makes two TLS records of them, and each
 * record is a read of its own.
 *
 * Source: outbound 8.4; linkerd2-proxy, linkerd/http/retry/src/peek_trailers.rs.
 */
export class HeldResponse {
  readonly head: ResponseHead;
  readonly #clock: Clock;
  readonly #onTurnOver: () => void;
  #bytes: Buffer | undefined = undefined;
  #turn: Timer | undefined = undefined;

  /** @param onTurnOver called when no trailers came at once, unless the response was passed on or dropped before. */
  constructor(head: ResponseHead, clock: Clock, onTurnOver: () => void) {
    this.head = head;
    this.#clock = clock;
    this.#onTurnOver = onTurnOver;
  }

  /** Bytes of the body that are held: whoever drops them owes credit for them. */
  get length(): number {
    return this.#bytes?.length ?? 0;
  }

  /** Keeps the first frame of the body. @returns false if this is not it, or the end: then there is nothing to wait for. */
  hold(buffer: Buffer, start: number, end: number, last: boolean): boolean {
    if (last || this.#bytes !== undefined) return false;
    this.#bytes = copyRange(buffer, start, end);
    this.#turn = this.#clock.after(0, this.#onTurnOver);
    return true;
  }

  /** Ends the wait: what was held goes on its way. */
  passTo(response: ResponseSink): void {
    const bytes = this.#bytes;
    this.drop();
    response.head(this.head, false);
    if (bytes !== undefined) response.data(bytes, 0, bytes.length, false);
  }

  /** Ends the wait. */
  drop(): void {
    this.#turn?.cancel();
    this.#turn = undefined;
    this.#bytes = undefined;
  }
}
