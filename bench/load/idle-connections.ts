import { CONNECT_BATCH, untilAccepted } from "./accept-queue.ts";
import { Connection } from "./connection.ts";
import { Http1Client } from "./http1.ts";
import { connectTo } from "./kernel.ts";
import type { Poller } from "./poller.ts";

const ANSWER_TIMEOUT_MS = 10_000;
const POLL_MS = 1;
const WARM_RESPONSE_BYTES = 16;

export interface HoldOptions {
  /** Each connection first asks for something by HTTP/1 and reads the answer, so that it has been all the way. */
  readonly warm?: boolean;
  /** Of these requests. Default: the port on 127.0.0.1. */
  readonly authority?: string;
}

/** Connections that stand and say nothing. */
export class IdleConnections {
  readonly #poller: Poller;
  readonly #connections = new Set<Connection>();

  constructor(poller: Poller) {
    this.#poller = poller;
  }

  /** How many still stand. */
  get size(): number {
    return this.#connections.size;
  }

  /**
   * Opens so many more, and waits until the listener has accepted them.
   *
   * @throws Error if that is not possible, naming the limit; then none of them stays.
   */
  open(port: number, count: number, options: HoldOptions = {}): void {
    const opened: Connection[] = [];
    try {
      while (opened.length < count) {
        const size = Math.min(CONNECT_BATCH, count - opened.length);
        if (options.warm === true) this.#openWarm(port, size, options, opened);
        else this.#openSilent(port, size, opened);
      }
      const lost = opened.filter(({ closed }) => closed).length;
      if (lost > 0) throw new Error(`port ${port} closed ${lost} of them meanwhile`);
    } catch (error) {
      for (const connection of opened) this.#drop(connection);
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`${opened.length} of ${count} idle connections: ${reason}`, { cause: error });
    }
  }

  release(): void {
    for (const connection of this.#connections) connection.close();
    this.#connections.clear();
  }

  #openSilent(port: number, size: number, opened: Connection[]): void {
    for (let i = 0; i < size; i++) {
      const connection = new SilentConnection(this.#poller, connectTo(port), () =>
        this.#connections.delete(connection),
      );
      this.#connections.add(connection);
      opened.push(connection);
    }
    untilAccepted(this.#poller, port);
  }

  #openWarm(port: number, size: number, { authority }: HoldOptions, opened: Connection[]): void {
    const request = {
      authority: authority ?? `127.0.0.1:${port}`,
      requestBytes: 0,
      responseBytes: WARM_RESPONSE_BYTES,
    };
    const unanswered = new Set<Connection>();
    for (let i = 0; i < size; i++) {
      const connection: Http1Client = new Http1Client(this.#poller, connectTo(port), request, {
        onResponse: (ok) => {
          if (!ok) throw new Error(`port ${port} answers wrongly`);
          unanswered.delete(connection);
        },
        onGone: () => void this.#connections.delete(connection),
      });
      this.#connections.add(connection);
      opened.push(connection);
      unanswered.add(connection);
      connection.request(String(opened.length));
      connection.pump();
    }
    const deadlineMs = performance.now() + ANSWER_TIMEOUT_MS;
    while (unanswered.size > 0) {
      for (const { closed } of unanswered) if (closed) throw new Error(`port ${port} closes connections`);
      if (performance.now() > deadlineMs) throw new Error(`port ${port} does not answer`);
      this.#poller.poll(POLL_MS);
    }
  }

  #drop(connection: Connection): void {
    connection.close();
    this.#connections.delete(connection);
  }
}

/** Reads what a server says unasked, as those of HTTP/2 do, and nothing else. */
class SilentConnection extends Connection {
  readonly #onGone: () => unknown;

  constructor(poller: Poller, fd: number, onGone: () => unknown) {
    super(poller, fd);
    this.#onGone = onGone;
  }

  protected consume(_buffer: Buffer, _start: number, end: number): number {
    return end;
  }

  protected produce(): void {}

  protected onGone(): void {
    this.#onGone();
  }
}
