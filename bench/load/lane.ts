import { headerField, headerName } from "../../src/wire/header-field.ts";
import { Http1Client, pathOfBytes } from "./http1.ts";
import { Http2Client } from "./http2-client.ts";
import { connectTo } from "./kernel.ts";
import type { LoadSpec } from "./load-spec.ts";
import type { Poller } from "./poller.ts";

/** Whom a lane tells. Times are of `performance.now`. */
export interface LaneOwner {
  onAnswer(lane: Lane, intendedAtMs: number, ok: boolean): void;
  onLaneLost(lane: Lane): void;
}

/** A client connection that requests are sent on. */
export interface Lane {
  readonly closed: boolean;
  readonly bodyBytes: number;
  /** Part of `bodyBytes`. */
  readonly backgroundBytes: number;
  /** @param intendedAtMs when it was due; on HTTP/1 it may still have to wait for the one before. */
  send(intendedAtMs: number): void;
  /** Sends what was gathered outside of an event. */
  flush(): void;
  close(): void;
}

export function openLane(poller: Poller, spec: LoadSpec, owner: LaneOwner): Lane {
  return spec.protocol === "http1" ? new Http1Lane(poller, spec, owner) : new Http2Lane(poller, spec, owner);
}

let counter = 0;

/** Differs in each request of a run. */
function nextId(): string {
  counter++;
  return Math.imul(counter, 0x9e37_79b1).toString(16).padStart(9, "0");
}

class Http1Lane implements Lane {
  readonly backgroundBytes = 0;
  readonly #client: Http1Client;
  /** Due times of the request under way and of those behind it. */
  readonly #due: number[] = [];

  constructor(poller: Poller, spec: LoadSpec, owner: LaneOwner) {
    const request = {
      authority: spec.authority,
      path: pathOfBytes(spec.responseBytes),
      requestBytes: spec.requestBytes,
    };
    this.#client = new Http1Client(poller, connectTo(spec.port), request, {
      onResponse: (ok) => {
        const intendedAtMs = this.#due.shift() ?? 0;
        if (this.#due.length > 0) this.#client.request(nextId());
        owner.onAnswer(this, intendedAtMs, ok);
      },
      onGone: () => owner.onLaneLost(this),
    });
  }

  get closed(): boolean {
    return this.#client.closed;
  }

  get bodyBytes(): number {
    return this.#client.bodyBytes;
  }

  send(intendedAtMs: number): void {
    this.#due.push(intendedAtMs);
    if (this.#due.length === 1) this.#client.request(nextId());
  }

  flush(): void {
    this.#client.pump();
  }

  close(): void {
    this.#client.close();
  }
}

class Http2Lane implements Lane {
  backgroundBytes = 0;
  readonly #client: Http2Client;
  readonly #due = new Map<number, number>();
  #background = 0;

  constructor(poller: Poller, spec: LoadSpec, owner: LaneOwner) {
    const request = {
      authority: spec.authority,
      path: pathOfBytes(spec.responseBytes),
      requestBytes: spec.requestBytes,
      grpc: spec.protocol === "grpc",
    };
    this.#client = new Http2Client(poller, connectTo(spec.port), request, {
      onResponse: (id, ok) => {
        if (id === this.#background) {
          this.backgroundBytes += spec.backgroundBytes ?? 0;
          this.#download(spec);
          return;
        }
        const intendedAtMs = this.#due.get(id) ?? 0;
        this.#due.delete(id);
        owner.onAnswer(this, intendedAtMs, ok);
      },
      onGone: () => owner.onLaneLost(this),
    });
    this.#download(spec);
  }

  get closed(): boolean {
    return this.#client.closed;
  }

  get bodyBytes(): number {
    return this.#client.bodyBytes;
  }

  send(intendedAtMs: number): void {
    this.#due.set(this.#client.request(nextId()), intendedAtMs);
  }

  flush(): void {
    this.#client.pump();
  }

  close(): void {
    this.#client.close();
  }

  #download({ backgroundBytes }: LoadSpec): void {
    if (backgroundBytes === undefined) return;
    this.#background = this.#client.request(nextId(), headerField(PATH, pathOfBytes(backgroundBytes)));
  }
}

const PATH = headerName(":path");
