import { readPrefix } from "../detect/peek.ts";
import { judgeServerGreeting } from "../detect/server-greeting.ts";
import { errorFromNode } from "../errors/from-node.ts";
import type { ProxyError } from "../errors/proxy-error.ts";
import type { ConcurrencyLimit, Place } from "../stack/concurrency-limit.ts";
import type { Clock, Timer } from "../time/clock.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { TcpBackend } from "./tcp-backend.ts";
import type { TcpRoute } from "./tcp-route.ts";

/** A connection to a server from before anybody knew what it was for, with what the server has said on it. */
export interface DialledAhead {
  readonly server: SocketTransport;
  readonly greeting: Buffer;
}

/**
 * How dialling ahead ended; values of the label `outcome` of `outrigger_outbound_dial_ahead_total`.
 *
 * - `server_first`: the server spoke first, so that its client was served without further waiting.
 * - `used`: the client spoke first, something that is not HTTP, and got the connection.
 * - `dropped`: the client turned out to speak HTTP, or left; or the server greeted with HTTP.
 * - `failed`: no connection could be made, or the server closed it.
 * - `limited`: so many are under way already that this one was not even begun.
 */
export type DialAheadOutcome = "server_first" | "used" | "dropped" | "failed" | "limited";

export interface DialAheadParams {
  readonly clock: Clock;
  /** How long the client may be silent before. Long enough for a client that speaks first to have spoken. */
  readonly afterMs: number;
  /** All that are under way in this process. */
  readonly limit: ConcurrencyLimit;
  /** Whether the client has not sent anything yet. */
  readonly isSilent: () => boolean;
  /** The route of the moment; undefined where there is none. Asked once, when dialling begins. */
  readonly route: () => Promise<TcpRoute | undefined>;
  readonly onOutcome: (outcome: DialAheadOutcome, error: ProxyError | undefined) => void;
}

type State =
  | { readonly kind: "waiting"; readonly timer: Timer }
  /** There is a route, but no server of it can be dialled yet. */
  | { readonly kind: "unready" }
  | { readonly kind: "dialling"; readonly route: TcpRoute; readonly connected: Promise<SocketTransport> }
  /** Listening to the server; `heard` tells all of it once listening has ended. */
  | {
      readonly kind: "connected";
      readonly route: TcpRoute;
      readonly heard: Promise<DialledAhead | undefined>;
    }
  | { readonly kind: "over" };

/** Nobody waits for a server to speak: the client does, and its detection has a limit of its own. */
const FOREVER_MS = Number.MAX_SAFE_INTEGER;

/**
 * Dials a server while its client is still silent, for protocols in which the server speaks first: those would wait out
 * the whole time of detection otherwise.
 *
 * waiting -> unready -> dialling -> connected -> over. The connection is for this client alone, and for bytes that are
 * not interpreted: whoever turns out to speak HTTP never gets it, because a request belongs to routes of its own. Until
 * somebody takes it nothing is sent on it, and no failure of it reaches the client.
 */
export class DialAhead {
  readonly #params: DialAheadParams;
  readonly #spoke = new AbortController();
  /** Those of a dial that has begun: most clients speak before. */
  #stop: AbortController | undefined = undefined;
  #listening: AbortController | undefined = undefined;
  #place: Place | undefined = undefined;
  #state: State;

  constructor(params: DialAheadParams) {
    this.#params = params;
    const timer = params.clock.after(params.afterMs, () => void this.#begin());
    this.#state = { kind: "waiting", timer };
  }

  /** Aborts when the server has spoken, and not HTTP. */
  get serverSpoke(): AbortSignal {
    return this.#spoke.signal;
  }

  /**
   * Hands the connection over, waiting for one that is being dialled.
   *
   * @param route the one in force now: a connection that another one led to is not given away.
   * @returns undefined if there is none: the caller dials for itself. Rejects if the dial under way fails.
   */
  async take(route: TcpRoute): Promise<DialledAhead | undefined> {
    const state = this.#state;
    if ((state.kind !== "dialling" && state.kind !== "connected") || state.route !== route) {
      this.drop();
      return undefined;
    }
    const hasSpoken = this.#spoke.signal.aborted;
    this.#listening?.abort();
    if (state.kind === "dialling") await state.connected;
    // Dialling has moved on to a listening that ends at once.
    const heard = this.#state.kind === "connected" ? await this.#state.heard : undefined;
    if (heard === undefined || this.#state.kind !== "connected") return undefined;
    this.#over(hasSpoken ? "server_first" : "used");
    return heard;
  }

  /** Closes it without harm: the client speaks HTTP, or has left. */
  drop(): void {
    const state = this.#state;
    if (state.kind === "over") return;
    if (state.kind === "waiting") {
      state.timer.cancel();
      this.#state = { kind: "over" };
      return;
    }
    this.#over(state.kind === "unready" ? undefined : "dropped");
    this.#stop?.abort();
    this.#listening?.abort();
    if (state.kind === "connected") void state.heard.then((heard) => heard?.server.destroy());
  }

  async #begin(): Promise<void> {
    const { isSilent, limit, route: routeNow, onOutcome } = this.#params;
    if (!isSilent()) {
      this.#state = { kind: "over" };
      return;
    }
    const place = (this.#place = limit.enter());
    if (place === undefined) {
      this.#state = { kind: "over" };
      onOutcome("limited", undefined);
      return;
    }
    this.#state = { kind: "unready" };
    const stop = (this.#stop = new AbortController());
    try {
      const route = await routeNow();
      const backend = route?.candidate();
      if (route === undefined || backend === undefined) return this.#over(undefined);
      await backend.whenReady(stop.signal);
      await this.#dial(route, backend, stop.signal);
    } catch (thrown) {
      this.#over("failed", errorFromNode(thrown, "dialling ahead"));
    }
  }

  async #dial(route: TcpRoute, backend: TcpBackend, signal: AbortSignal): Promise<void> {
    // The client may have spoken, or left, while the backend was not ready.
    if (this.#state.kind !== "unready") return;
    const listening = (this.#listening = new AbortController());
    const connected = route.connectTo(backend, signal).then((server) => {
      if (this.#state.kind === "dialling") {
        this.#state = { kind: "connected", route, heard: this.#listen(server, listening.signal) };
      } else {
        server.destroy();
      }
      return server;
    });
    this.#state = { kind: "dialling", route, connected };
    await connected;
  }

  /** What the server has said when somebody asks; undefined if it has left. */
  async #listen(server: SocketTransport, signal: AbortSignal): Promise<DialledAhead | undefined> {
    const { clock } = this.#params;
    const read = await readPrefix(server, clock, FOREVER_MS, judgeServerGreeting, { signal });
    const heard: DialledAhead = { server, greeting: read.prefix };
    switch (read.kind) {
      case "stopped":
        return heard;
      case "decided":
        if (read.value === "server_first") return this.#speaks(heard);
        server.destroy();
        this.#over("dropped");
        return undefined;
      case "ended":
        // A short greeting and its end are as good as a long one.
        if (read.prefix.length > 0) return this.#speaks(heard);
        server.destroy();
        this.#over("failed");
        return undefined;
      case "closed":
      case "timeout":
        server.destroy();
        this.#over("failed", read.kind === "closed" ? read.error : undefined);
        return undefined;
      default:
        return read satisfies never;
    }
  }

  #speaks(heard: DialledAhead): DialledAhead {
    this.#spoke.abort();
    return heard;
  }

  #over(outcome: DialAheadOutcome | undefined, error?: ProxyError): void {
    if (this.#state.kind === "over") return;
    this.#state = { kind: "over" };
    this.#place?.leave();
    if (outcome !== undefined) this.#params.onOutcome(outcome, error);
  }
}
