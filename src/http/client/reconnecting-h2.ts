import { ProxyError } from "../../errors/proxy-error.ts";
import { errorFromNode } from "../../errors/from-node.ts";
import { Backoff, type BackoffParams } from "../../time/backoff.ts";
import type { Clock, Timer } from "../../time/clock.ts";
import type { Transport } from "../../transport/transport.ts";
import type { H2Options } from "../h2-options.ts";
import { DiscardSink, type HttpService, type RequestHead, type ResponseSink, type Sink } from "../message.ts";
import { H2Client } from "./h2.ts";
import { UnprocessedCalls, type UnprocessedCall } from "./unprocessed-calls.ts";

export interface ReconnectingH2Params {
  readonly clock: Clock;
  readonly random: () => number;
  readonly backoff: BackoffParams;
  readonly http2: H2Options;
  /** Dials and secures; rejects with a ProxyError. */
  readonly connect: (signal: AbortSignal) => Promise<Transport>;
  /** Called whenever `ready` changed. */
  readonly onReadiness: () => void;
  /** Told of each failed attempt to connect; `isFirst` tells the first since there was a connection. */
  readonly onConnectError: (error: ProxyError, isFirst: boolean) => void;
}

type State =
  /** Nobody has asked for a connection yet, or it is closed for good. */
  | { readonly kind: "off" }
  | { readonly kind: "connecting"; readonly attempt: AbortController }
  | { readonly kind: "waiting"; readonly timer: Timer }
  | { readonly kind: "connected"; readonly client: H2Client };

/**
 * One HTTP/2 connection to one server, made before it is needed and made again whenever it is lost.
 *
 * connecting -> connected -> (lost) waiting -> connecting; a failed attempt also waits. Pauses grow while attempts fail
 * and start anew after a connection that stood. A connection that takes no more requests (GOAWAY) is let go to finish
 * what it carries while the next one is made.
 *
 * Calls that the server has certainly not looked at are made once more, without anybody noticing: at once where the
 * connection stands, else on the next one if that comes at the first attempt (faults-and-threats HC-01, HC-03).
 *
 * Source: linkerd2-proxy, linkerd/reconnect/src/lib.rs.
 */
export class ReconnectingH2 implements HttpService {
  readonly #params: ReconnectingH2Params;
  readonly #backoff: Backoff;
  #state: State = { kind: "off" };
  readonly #unprocessed = new UnprocessedCalls();
  #closed = false;
  #lastError: ProxyError | undefined = undefined;

  constructor(params: ReconnectingH2Params) {
    this.#params = params;
    this.#backoff = new Backoff(params.backoff, params.random);
  }

  get ready(): boolean {
    return this.#state.kind === "connected";
  }

  /** Why the latest attempt failed; undefined while connected. */
  get lastError(): ProxyError | undefined {
    return this.#lastError;
  }

  /** Begins to connect; later calls do nothing. */
  start(): void {
    if (this.#state.kind === "off" && !this.#closed) this.#connect();
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    if (this.#state.kind === "connected") return this.#state.client.call(head, last, response);
    response.reset(
      this.#lastError ??
        new ProxyError("upstream_closed", "no connection to the server", { side: "upstream" }),
    );
    return new DiscardSink(response);
  }

  /** Ends for good: requests under way finish, new ones fail. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unprocessed.fail();
    const state = this.#state;
    this.#state = { kind: "off" };
    if (state.kind === "connecting") state.attempt.abort();
    else if (state.kind === "waiting") state.timer.cancel();
    else if (state.kind === "connected") state.client.close();
  }

  #connect(): void {
    const attempt = new AbortController();
    this.#state = { kind: "connecting", attempt };
    this.#params.connect(attempt.signal).then(
      (transport) => this.#onConnected(attempt, transport),
      (thrown: unknown) => this.#onFailed(attempt, errorFromNode(thrown, "connect")),
    );
  }

  #onConnected(attempt: AbortController, transport: Transport): void {
    if (attempt.signal.aborted) {
      transport.destroy();
      return;
    }
    this.#backoff.reset();
    this.#lastError = undefined;
    const client: H2Client = new H2Client(transport, {
      ...this.#params.http2,
      clock: this.#params.clock,
      onRetire: () => this.#onRetired(client),
      onUnprocessed: (call) => this.#again(call),
    });
    this.#state = { kind: "connected", client };
    this.#sendAgain();
    this.#params.onReadiness();
  }

  #onFailed(attempt: AbortController, error: ProxyError): void {
    if (attempt.signal.aborted) return;
    const isFirst = this.#lastError === undefined;
    this.#lastError = error;
    this.#params.onConnectError(error, isFirst);
    this.#unprocessed.fail();
    this.#wait();
  }

  #again(call: UnprocessedCall): Sink | undefined {
    if (this.#closed) return undefined;
    const successor = this.#unprocessed.add(call);
    // Not within the read that refused it: what else came with that, as a GOAWAY, may end the connection.
    queueMicrotask(() => this.#sendAgain());
    return successor;
  }

  #sendAgain(): void {
    if (this.#state.kind !== "connected") return;
    const { client } = this.#state;
    this.#unprocessed.sendTo({ call: (head, last, response) => client.callAgain(head, last, response) });
  }

  #onRetired(client: H2Client): void {
    if (this.#state.kind !== "connected" || this.#state.client !== client) return;
    this.#wait();
    this.#params.onReadiness();
  }

  #wait(): void {
    const timer = this.#params.clock.after(this.#backoff.next(), () => this.#connect());
    this.#state = { kind: "waiting", timer };
  }
}
