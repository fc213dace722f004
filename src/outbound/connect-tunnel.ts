import { ProxyError } from "../errors/proxy-error.ts";
import { errorFromNode } from "../errors/from-node.ts";
import {
  ResponseHead,
  statusField,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../http/message.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { ByteHandler } from "../transport/transport.ts";
import type { OutboundContext } from "./context.ts";
import type { Discovered } from "./discover.ts";
import type { OpaqueStack } from "./opaque.ts";
import type { TargetStack } from "./target-stack.ts";
import type { TcpRouteMetrics } from "./tcp-route-metrics.ts";

/**
 * Answers CONNECT by a connection to the target as if it were opaque: 200 once the server is reached, then bytes.
 *
 * A failure before that is a response; after it, the tunnel breaks off.
 */
export function connectTunnel(
  context: OutboundContext,
  stack: TargetStack,
  discovered: Discovered,
): HttpService {
  return {
    call: (head, _last, response) => {
      const tunnel = new Tunnel(context, head, response);
      void openTunnel(tunnel, stack.opaque(discovered));
      return tunnel;
    },
  };
}

async function openTunnel(tunnel: Tunnel, stack: OpaqueStack): Promise<void> {
  try {
    const { route, metrics } = stack.route();
    tunnel.count(metrics);
    tunnel.open(await route.connect(tunnel.signal));
  } catch (thrown) {
    tunnel.fail(errorFromNode(thrown, "CONNECT"));
  }
}

/** The tunnel as the request sink of the CONNECT and as the driver of the server's connection. */
class Tunnel implements Sink, ByteHandler {
  readonly #head: RequestHead;
  readonly #response: ResponseSink;
  readonly #stop = new AbortController();
  readonly #leave: () => void;
  #server: SocketTransport | undefined = undefined;
  /** Bytes of the client that came before the server was reached, or while its output was full. */
  readonly #held: Buffer[] = [];
  #clientEnded = false;
  #serverEnded = false;
  /** Bytes passed to the client that it has not taken yet. */
  #uncredited = 0;
  #over = false;
  #metrics: TcpRouteMetrics | undefined = undefined;

  constructor(context: OutboundContext, head: RequestHead, response: ResponseSink) {
    this.#head = head;
    this.#response = response;
    this.#leave = context.drain.join(() => {});
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Counts the tunnel as a connection of its route from now on. */
  count(metrics: TcpRouteMetrics): void {
    this.#metrics = metrics;
    metrics.opened();
    if (this.#over) metrics.closed(undefined);
  }

  open(server: SocketTransport): void {
    if (this.#over) {
      server.destroy();
      return;
    }
    this.#server = server;
    this.#response.head(new ResponseHead(this.#head.version, 200, statusField(200), []), false);
    if (this.#over) return;
    server.attach(this);
    this.#flushHeld();
  }

  fail(error: ProxyError): void {
    if (this.#finish(error)) this.#response.reset(error);
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (this.#over) return;
    if (last) this.#clientEnded = true;
    if (end > start) {
      if (this.#server === undefined || this.#server.blocked || this.#held.length > 0) {
        this.#held.push(Buffer.from(buffer.subarray(start, end)));
        return;
      }
      this.#server.write(buffer, start, end);
      this.#response.credit(end - start);
    }
    if (last) this.#flushHeld();
  }

  /** A tunnel has no trailers: their end is its end. */
  trailers(): void {
    this.data(NOTHING, 0, 0, true);
  }

  reset(error: ProxyError): void {
    if (!this.#finish(error)) return;
    this.#stop.abort();
    this.#server?.reset();
  }

  credit(bytes: number): void {
    this.#uncredited -= bytes;
    if (this.#uncredited < WINDOW_BYTES) this.#server?.resume();
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.#uncredited += end - start;
    if (this.#uncredited >= WINDOW_BYTES) this.#server?.pause();
    this.#response.data(buffer, start, end, false);
  }

  onEnd(): void {
    this.#serverEnded = true;
    this.#response.data(NOTHING, 0, 0, true);
    this.#endIfDone();
  }

  onDrain(): void {
    this.#flushHeld();
  }

  onClose(error: ProxyError | undefined): void {
    const closed = new ProxyError("upstream_closed", "the server closed the tunnel", { side: "upstream" });
    // Also after the server's end: the client may still be sending, and nobody takes it any more.
    if (this.#finish(error ?? closed)) this.#response.reset(error ?? closed);
  }

  #flushHeld(): void {
    const server = this.#server;
    if (server === undefined) return;
    while (this.#held.length > 0 && !server.blocked) {
      const bytes = this.#held.shift();
      if (bytes === undefined) break;
      server.write(bytes, 0, bytes.length);
      this.#response.credit(bytes.length);
    }
    if (this.#clientEnded && this.#held.length === 0) server.end();
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#clientEnded && this.#serverEnded && this.#held.length === 0) this.#finish();
  }

  #finish(error?: ProxyError): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#metrics?.closed(error);
    this.#held.length = 0;
    this.#leave();
    return true;
  }
}

/** Bytes of the server that may be on their way to the client (LIM-19). */
const WINDOW_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);
