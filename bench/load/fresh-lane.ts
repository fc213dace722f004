import type { Lane, LaneOwner } from "./lane.ts";
import type { LoadSpec } from "./load-spec.ts";

/**
 * A new connection for each request, one after the other.
 *
 * The client closes, and does so in order: a reset would spare it the port that stays taken for a minute, but it is another
 * event to a proxy, and no client ends so. The ports last: on loopback the kernel takes them again after a second
 * (net.ipv4.tcp_tw_reuse is 2 since Linux 4.19), and there are 28,000 by default. Where they do not, connecting says so.
 */
export class FreshLane implements Lane, LaneOwner {
  readonly closed = false;
  readonly #owner: LaneOwner;
  readonly #open: (owner: LaneOwner) => Lane;
  readonly #spec: LoadSpec;
  /** Due times of those that wait for the one under way. */
  readonly #due: number[] = [];
  #current: Lane | undefined = undefined;
  #startedAtMs = 0;
  #starting = false;
  /** Of connections that are closed. */
  #bodyBytes = 0;
  #backgroundBytes = 0;

  /** @param open must not wait for the connection to stand. */
  constructor(owner: LaneOwner, spec: LoadSpec, open: (owner: LaneOwner) => Lane) {
    this.#owner = owner;
    this.#spec = spec;
    this.#open = open;
  }

  get bodyBytes(): number {
    return this.#bodyBytes + (this.#current?.bodyBytes ?? 0);
  }

  get backgroundBytes(): number {
    return this.#backgroundBytes + (this.#current?.backgroundBytes ?? 0);
  }

  send(intendedAtMs: number): void {
    this.#due.push(intendedAtMs);
    if (this.#current === undefined) this.#start();
  }

  flush(): void {}

  close(): void {
    this.#current?.close();
  }

  onAnswer(lane: Lane, intendedAtMs: number, ok: boolean): void {
    // Told before it is closed: closing is no part of the answer's latency.
    this.#owner.onAnswer(this, intendedAtMs, ok);
    this.#next(lane);
  }

  onFault(): void {
    this.#owner.onFault();
  }

  onLaneLost(lane: Lane): void {
    // It could not even send: nobody listens, and trying again would never end.
    if (this.#starting) throw new Error(`a new connection to port ${this.#spec.port} was refused`);
    this.#owner.onAnswer(this, this.#startedAtMs, false);
    this.#next(lane);
  }

  #next(before: Lane): void {
    before.close();
    this.#bodyBytes += before.bodyBytes;
    this.#backgroundBytes += before.backgroundBytes;
    this.#current = undefined;
    this.#start();
  }

  #start(): void {
    const intendedAtMs = this.#due.shift();
    if (intendedAtMs === undefined) return;
    // In a closed loop nothing is due before the connection before is closed.
    this.#startedAtMs = this.#spec.ratePerSecond === undefined ? performance.now() : intendedAtMs;
    this.#starting = true;
    const lane = this.#open(this);
    this.#current = lane;
    lane.send(this.#startedAtMs);
    lane.flush();
    this.#starting = false;
  }
}
