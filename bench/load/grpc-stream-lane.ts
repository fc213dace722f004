import { GrpcStreamClient } from "./grpc-stream-client.ts";
import { nextId, type Lane, type LaneOwner } from "./lane.ts";
import type { LoadSpec } from "./load-spec.ts";
import type { Poller } from "./poller.ts";

/** A stream that is held open, or about to be opened again. */
interface Slot {
  /** Undefined: none is open that takes messages. */
  stream: number | undefined;
  /** Messages on `stream`. */
  sent: number;
  /** Messages that wait for an answer, on `stream` and on those before it that have not ended. */
  underWay: number;
}

/** A stream that has not ended, perhaps with its slot taken by the next one already. */
interface Stream {
  readonly slot: Slot;
  /** Due times of the messages that wait for an answer; answers come in order. */
  readonly due: number[];
}

/** A connection that holds streams of gRPC open, and sends messages on them. */
export class GrpcStreamLane implements Lane {
  readonly backgroundBytes = 0;
  readonly #client: GrpcStreamClient;
  readonly #owner: LaneOwner;
  readonly #messagesPerStream: number;
  readonly #slots: Slot[];
  readonly #streams = new Map<number, Stream>();
  /** Slots on which nothing is under way, first come first served, so that all of them are used. */
  readonly #free: Slot[];
  #next = 0;

  constructor(poller: Poller, fd: number, spec: LoadSpec, owner: LaneOwner) {
    this.#owner = owner;
    this.#messagesPerStream = spec.messagesPerStream ?? Infinity;
    this.#client = new GrpcStreamClient(poller, fd, spec, {
      onMessage: (id, ok) => this.#onMessage(id, ok),
      onStreamEnd: (id, ok) => this.#onStreamEnd(id, ok),
      onGone: () => owner.onLaneLost(this),
    });
    this.#slots = Array.from({ length: spec.streams }, () => ({ stream: undefined, sent: 0, underWay: 0 }));
    this.#free = [...this.#slots];
    for (const slot of this.#slots) this.#openIn(slot);
  }

  get closed(): boolean {
    return this.#client.closed;
  }

  get bodyBytes(): number {
    return this.#client.bodyBytes;
  }

  /** On a stream on which nothing is under way, if there is one; otherwise behind what is. */
  send(intendedAtMs: number): void {
    const slot = this.#free.shift() ?? this.#slots[this.#next++ % this.#slots.length];
    if (slot === undefined) return;
    const id = slot.stream ?? this.#openIn(slot);
    this.#streams.get(id)?.due.push(intendedAtMs);
    slot.underWay++;
    const last = ++slot.sent === this.#messagesPerStream;
    if (last) slot.stream = undefined;
    this.#client.sendMessage(id, last);
  }

  flush(): void {
    this.#client.pump();
  }

  close(): void {
    this.#client.close();
  }

  #openIn(slot: Slot): number {
    const id = this.#client.open(nextId());
    slot.stream = id;
    slot.sent = 0;
    this.#streams.set(id, { slot, due: [] });
    return id;
  }

  #onMessage(id: number, ok: boolean): void {
    const stream = this.#streams.get(id);
    const intendedAtMs = stream?.due.shift();
    if (stream === undefined || intendedAtMs === undefined) {
      // A message that nobody asked for.
      this.#owner.onFault();
      return;
    }
    this.#release(stream.slot);
    this.#owner.onAnswer(this, intendedAtMs, ok);
  }

  #onStreamEnd(id: number, ok: boolean): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#streams.delete(id);
    const { slot, due } = stream;
    if (slot.stream === id) slot.stream = undefined;
    // Before anybody is told, because whoever is told sends again.
    if (slot.stream === undefined) this.#openIn(slot);
    if (!ok && due.length === 0) this.#owner.onFault();
    for (let intendedAtMs = due.shift(); intendedAtMs !== undefined; intendedAtMs = due.shift()) {
      this.#release(slot);
      this.#owner.onAnswer(this, intendedAtMs, false);
    }
  }

  /** One message less is under way. */
  #release(slot: Slot): void {
    slot.underWay--;
    if (slot.underWay === 0) this.#free.push(slot);
  }
}
