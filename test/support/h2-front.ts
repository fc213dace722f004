import type { ProxyError } from "../../src/errors/proxy-error.ts";
import { H2Client } from "../../src/http/client/h2.ts";
import type { H2Rejection, H2ServerOptions } from "../../src/http/h2-options.ts";
import type { HttpService } from "../../src/http/message.ts";
import { H1Pool } from "../../src/http/pool.ts";
import { RescueService, respondWith, type RescueRow } from "../../src/http/respond.ts";
import { H2Server } from "../../src/http/server/h2.ts";
import { FakeClock } from "./fake-clock.ts";
import type { ScriptedService } from "./h2-exchange.ts";
import { RawPeer as H2Peer } from "./h2-raw-peer.ts";
import { MemoryPair } from "./memory-transport.ts";
import { RawPeer as H1Peer } from "./raw-peer.ts";

/** What becomes of failures at the edges of the real stacks; the rows that a client connection can cause. */
const RESCUE: readonly RescueRow[] = [
  { code: "io", rescue: respondWith(502, 14, "close") },
  { code: "bad_message", rescue: respondWith(502, 14, "close") },
  { code: "upstream_closed", rescue: respondWith(502, 14, "close") },
  { code: "h2_reset", rescue: { kind: "reset" } },
  { code: "h2_goaway", rescue: { kind: "reset" } },
];

/** A raw HTTP/2 client in front of the HTTP/2 server of a proxy, over memory: every frame is the test's. */
export class H2Front {
  readonly clock = new FakeClock(1_000);
  readonly pair: MemoryPair;
  readonly peer: H2Peer;
  readonly server: H2Server;
  readonly rejections: [H2Rejection, string][] = [];
  readonly closes: (ProxyError | undefined)[] = [];
  readonly errors: ProxyError[] = [];
  readonly #behind: () => readonly MemoryPair[];

  /** @param behind the pairs of what `service` talks to. */
  constructor(
    service: HttpService,
    options: H2ServerOptions = {},
    behind: () => readonly MemoryPair[] = () => [],
  ) {
    this.#behind = behind;
    this.pair = new MemoryPair();
    const rescue = new RescueService(service, {
      table: RESCUE,
      outermost: true,
      informationalHeaders: true,
      onError: (error) => this.errors.push(error),
    });
    this.server = new H2Server(this.pair.right, rescue, {
      clock: this.clock,
      onRejected: (rejection, problem) => this.rejections.push([rejection, problem]),
      onClose: (error) => this.closes.push(error),
      ...options,
    });
    this.peer = new H2Peer(this.pair, this.pair.left, "client");
  }

  /** Lets everything move until it rests, dials included. */
  async settle(): Promise<void> {
    let moved = -1;
    for (let turns = 0; turns < 6 || moved !== this.#moved(); turns++) {
      moved = this.#moved();
      this.pair.settle();
      for (const pair of this.#behind()) pair.settle();
      await Promise.resolve();
    }
  }

  #moved(): number {
    let sum = 0;
    for (const { left, right } of [this.pair, ...this.#behind()])
      sum += left.bytesWritten + right.bytesWritten;
    return sum;
  }
}

/** In front of an origin that speaks HTTP/1, raw: what it received stands in `origin(i).received`. */
export class H2ToH1 extends H2Front {
  readonly pool: H1Pool;
  readonly #origins: { readonly pair: MemoryPair; readonly peer: H1Peer }[];

  constructor() {
    const origins: { readonly pair: MemoryPair; readonly peer: H1Peer }[] = [];
    const pool = new H1Pool({
      clock: new FakeClock(1_000),
      connect: () => {
        const pair = new MemoryPair();
        origins.push({ pair, peer: new H1Peer(pair.right) });
        return Promise.resolve(pair.left);
      },
    });
    super(pool, {}, () => origins.map(({ pair }) => pair));
    this.pool = pool;
    this.#origins = origins;
  }

  get connections(): number {
    return this.#origins.length;
  }

  /** Bytes that origins have sent and the proxy has not taken. */
  waitingAtOrigins(): number {
    return this.#origins.reduce((sum, { pair }) => sum + pair.right.waitingBytes, 0);
  }

  origin(index: number): H1Peer {
    const origin = this.#origins[index];
    if (origin === undefined) throw new Error(`connection ${index} was not opened`);
    return origin.peer;
  }
}

/** In front of an origin that speaks HTTP/2, over one connection. */
export class H2ToH2 extends H2Front {
  readonly back: MemoryPair;
  readonly client: H2Client;
  readonly origin: H2Server;

  constructor(service: ScriptedService) {
    const back = new MemoryPair();
    const origin = new H2Server(back.right, service);
    const client = new H2Client(back.left);
    super(client, {}, () => [back]);
    this.back = back;
    this.client = client;
    this.origin = origin;
  }
}
