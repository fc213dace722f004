import type { ProxyError } from "../../src/errors/proxy-error.ts";
import { H1Pool, type H1PoolOptions } from "../../src/http/pool.ts";
import { RescueService, respondWith, type RescueRow } from "../../src/http/respond.ts";
import { H1Server, type H1ServerOptions } from "../../src/http/server/h1.ts";
import { FakeClock } from "./fake-clock.ts";
import { MemoryPair, type MemoryPairOptions } from "./memory-transport.ts";
import { RawPeer } from "./raw-peer.ts";

const RESCUE: readonly RescueRow[] = [
  { code: "io", rescue: respondWith(502, 14, "close") },
  { code: "bad_message", rescue: respondWith(502, 14, "close") },
  { code: "upstream_closed", rescue: respondWith(502, 14, "close") },
];

/** An origin's connection that waits for a script: what it received stands in `received`. */
export interface Origin {
  readonly peer: RawPeer;
  readonly pair: MemoryPair;
}

/** Raw client, server, rescue, pool, raw origin; over memory, so that every byte is the test's. */
export class H1Chain {
  readonly clock = new FakeClock(1_000);
  readonly client: RawPeer;
  readonly clientPair: MemoryPair;
  readonly server: H1Server;
  readonly pool: H1Pool;
  readonly origins: Origin[] = [];
  readonly errors: ProxyError[] = [];
  /** Dials fail with this. */
  refuse: ProxyError | undefined = undefined;

  constructor(
    pairs: MemoryPairOptions = {},
    server: Partial<H1ServerOptions> = {},
    pool: Partial<H1PoolOptions> = {},
  ) {
    this.clientPair = new MemoryPair(pairs);
    this.client = new RawPeer(this.clientPair.left);
    this.pool = new H1Pool({
      clock: this.clock,
      connect: () => {
        if (this.refuse !== undefined) return Promise.reject(this.refuse);
        const pair = new MemoryPair(pairs);
        this.origins.push({ pair, peer: new RawPeer(pair.right) });
        return Promise.resolve(pair.left);
      },
      ...pool,
    });
    const rescue = new RescueService(this.pool, {
      table: RESCUE,
      outermost: true,
      informationalHeaders: false,
      onError: (error) => this.errors.push(error),
    });
    this.server = new H1Server(this.clientPair.right, rescue, { clock: this.clock, ...server });
  }

  /** Lets everything move until it rests, dials included. */
  async settle(): Promise<void> {
    for (let i = 0; i < 6; i++) {
      this.clientPair.settle();
      for (const { pair } of this.origins) pair.settle();
      await Promise.resolve();
    }
  }

  origin(index: number): RawPeer {
    const origin = this.origins[index];
    if (origin === undefined) throw new Error(`connection ${index} was not opened`);
    return origin.peer;
  }

  /** Sends a request and lets it arrive. */
  async request(text: string): Promise<void> {
    this.client.send(text);
    await this.settle();
  }

  /** Answers on the newest connection and lets it arrive. */
  async answer(text: string, index = this.origins.length - 1): Promise<void> {
    this.origin(index).send(text);
    await this.settle();
  }
}

/** A message without its date, to compare. */
export function withoutDate(text: string): string {
  return text.replace(/date: [^\r]*\r\n/g, "");
}
