import { Http2Client } from "./http2-client.ts";
import { nextId, type Lane, type LaneOwner } from "./lane.ts";
import type { LoadSpec } from "./load-spec.ts";
import type { Poller } from "./poller.ts";

/** A connection of HTTP/2, with any number of requests at once and perhaps a download beside them. */
export class Http2Lane implements Lane {
  backgroundBytes = 0;
  readonly #client: Http2Client;
  readonly #due = new Map<number, number>();
  readonly #downloadBytes: number | undefined;
  #download = 0;

  constructor(poller: Poller, fd: number, spec: LoadSpec, owner: LaneOwner) {
    const { authority, requestBytes, responseBytes, protocol } = spec;
    const request = { authority, requestBytes, responseBytes, grpc: protocol === "grpc" };
    this.#downloadBytes = spec.backgroundBytes;
    this.#client = new Http2Client(poller, fd, request, {
      onResponse: (id, ok) => {
        if (id === this.#download) {
          if (ok) this.backgroundBytes += this.#downloadBytes ?? 0;
          else owner.onFault();
          this.#startDownload();
          return;
        }
        const intendedAtMs = this.#due.get(id) ?? 0;
        this.#due.delete(id);
        owner.onAnswer(this, intendedAtMs, ok);
      },
      onGone: () => owner.onLaneLost(this),
    });
    this.#startDownload();
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

  #startDownload(): void {
    if (this.#downloadBytes !== undefined)
      this.#download = this.#client.request(nextId(), this.#downloadBytes);
  }
}
