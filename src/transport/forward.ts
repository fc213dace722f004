import type { ProxyError } from "../errors/proxy-error.ts";
import { replay } from "./replay.ts";
import type { ByteHandler, Transport } from "./transport.ts";

/** How a forwarded connection ended. */
export interface ForwardEnd {
  /** What ended it before both directions were finished; undefined after an orderly end. */
  readonly error: ProxyError | undefined;
  /** Who ended it so; undefined after an orderly end. */
  readonly by: "client" | "server" | "proxy" | undefined;
}

/** A forwarded connection under way. */
export interface Forward {
  /** Ends it now, resetting both sides: a policy forbids it, or a drain ran out of time. */
  abort(error: ProxyError): void;
}

/**
 * Copies bytes both ways, uninterpreted, until both directions are finished or one side fails.
 *
 * The end of one direction is passed on and leaves the other open. A receiver that takes no more stops the sender: per
 * direction at most LIM-19 and one read wait here. If one side fails, the other is reset rather than closed, so that no
 * peer mistakes a truncated stream for a whole one.
 *
 * @param prefix bytes already read from the client, sent first.
 * @param onEnd called once, when both connections are gone.
 * @param greeting bytes already read from the server, sent first.
 *
 * Source: linkerd2-proxy, linkerd/duplex.
 */
export function forward(
  client: Transport,
  server: Transport,
  prefix: Buffer,
  onEnd: (end: ForwardEnd) => void,
  greeting: Buffer = NOTHING,
): Forward {
  const pair = new Pair(client, server, onEnd);
  replay(server, pair.fromServer, greeting);
  replay(client, pair.fromClient, prefix);
  return pair;
}

const NOTHING = Buffer.alloc(0);

class Pair implements Forward {
  readonly fromClient: Direction;
  readonly fromServer: Direction;
  readonly #onEnd: (end: ForwardEnd) => void;
  #error: ProxyError | undefined = undefined;
  #by: ForwardEnd["by"] = undefined;
  #open = 2;

  constructor(client: Transport, server: Transport, onEnd: (end: ForwardEnd) => void) {
    this.#onEnd = onEnd;
    this.fromClient = new Direction(this, client, server);
    this.fromServer = new Direction(this, server, client);
  }

  abort(error: ProxyError): void {
    this.#blame("proxy", error);
    this.fromClient.from.reset();
    this.fromServer.from.reset();
  }

  onClose(direction: Direction, error: ProxyError | undefined): void {
    this.#open--;
    const whole = this.fromClient.finished && this.fromServer.finished;
    if (error !== undefined || !whole)
      this.#blame(direction === this.fromClient ? "client" : "server", error);
    // Once both directions are finished the other side only has to send what it was given, and closes by itself.
    if (!whole) direction.to.reset();
    if (this.#open === 0) this.#onEnd({ error: this.#error, by: this.#by });
  }

  #blame(by: "client" | "server" | "proxy", error: ProxyError | undefined): void {
    if (this.#by !== undefined) return;
    this.#by = by;
    this.#error = error;
  }
}

/** One way of the copy: the handler of the side it reads from, and, for room, of the side it writes to. */
class Direction implements ByteHandler {
  readonly from: Transport;
  readonly to: Transport;
  finished = false;
  readonly #pair: Pair;

  constructor(pair: Pair, from: Transport, to: Transport) {
    this.#pair = pair;
    this.from = from;
    this.to = to;
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.to.write(buffer, start, end);
    if (this.to.blocked) this.from.pause();
  }

  onEnd(): void {
    this.finished = true;
    this.to.end();
  }

  onDrain(): void {
    // `from` takes bytes again: they come from `to`.
    this.to.resume();
  }

  onClose(error: ProxyError | undefined): void {
    this.#pair.onClose(this, error);
  }
}
