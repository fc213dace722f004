import { Epoll, READABLE, WRITABLE } from "./kernel.ts";

/** A descriptor of the poller. */
export interface Pollable {
  readonly fd: number;
  /** There is something to read, or the end. */
  onReadable(): void;
  onWritable(): void;
}

/** The event loop of the load process. During a run it never sleeps (see kernel.ts). */
export class Poller {
  readonly #epoll = new Epoll();
  readonly #known: (Pollable | undefined)[] = [];

  add(pollable: Pollable): void {
    this.#known[pollable.fd] = pollable;
    this.#epoll.add(pollable.fd);
  }

  /** Before the descriptor is closed. */
  remove(pollable: Pollable): void {
    this.#known[pollable.fd] = undefined;
    this.#epoll.remove(pollable.fd);
  }

  awaitWritable(pollable: Pollable, wanted: boolean): void {
    this.#epoll.change(pollable.fd, wanted ? READABLE | WRITABLE : READABLE);
  }

  /** Serves everything that is ready now, or within so many milliseconds. @returns how many descriptors were. */
  poll(timeoutMs = 0): number {
    const ready = this.#epoll.poll(timeoutMs);
    for (let i = 0; i < ready; i++) {
      const fd = this.#epoll.fdAt(i);
      const events = this.#epoll.eventsAt(i);
      if ((events & WRITABLE) !== 0) this.#known[fd]?.onWritable();
      // Errors and hang-ups come without being asked for, and show when read.
      if ((events & ~WRITABLE) !== 0) this.#known[fd]?.onReadable();
    }
    return ready;
  }
}
