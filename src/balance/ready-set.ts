import type { Loaded } from "./load.ts";
import { pickP2c } from "./p2c.ts";

/** The endpoints that can take a request now. Adding, removing and picking cost the same for three or thousands. */
export class ReadySet<T extends Loaded> {
  readonly #members: T[] = [];
  readonly #indexes = new Map<T, number>();

  get size(): number {
    return this.#members.length;
  }

  has(member: T): boolean {
    return this.#indexes.has(member);
  }

  /** Adding a member twice does nothing. */
  add(member: T): void {
    if (this.#indexes.has(member)) return;
    this.#indexes.set(member, this.#members.length);
    this.#members.push(member);
  }

  /** @returns whether it was a member. */
  delete(member: T): boolean {
    const index = this.#indexes.get(member);
    if (index === undefined) return false;
    this.#indexes.delete(member);
    const last = this.#members.pop();
    // Order means nothing here, so the last one fills the hole.
    if (last !== undefined && last !== member) {
      this.#members[index] = last;
      this.#indexes.set(last, index);
    }
    return true;
  }

  /** One member by power of two choices, undefined if there is none. It stays a member. */
  pick(nowMs: number, random: () => number): T | undefined {
    return this.#members[pickP2c(this.#members, nowMs, random)];
  }
}
