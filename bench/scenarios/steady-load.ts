import { setTimeout as pause } from "node:timers/promises";
import { status as grpcStatus } from "@grpc/grpc-js";
import {
  GrpcEcho,
  grpcChannel,
  http1Get,
  http2Connect,
  http2Get,
  oneConnection,
  TcpEcho,
  tcpCall,
} from "../../test/support/app/clients.ts";
import type { Ports } from "../../test/support/app/application.ts";

/** What is asked for, and how often a second. */
export interface Rates {
  readonly http1Kept: number;
  readonly http1New: number;
  readonly http2: number;
  /** Messages on one stream that stays open. */
  readonly grpc: number;
  /** Messages on one connection that stays open. */
  readonly tunnel: number;
  /** Connections: each is a TLS handshake between the proxies. */
  readonly tcpNew: number;
}

/**
 * Small exchanges of every protocol at a steady rate. Connections and streams made at the start live until the end, so that
 * whatever cuts one of them is a failure.
 */
export class SteadyLoad {
  /** Exchanges of each kind so far. */
  readonly requests: Record<string, number> = {};
  /** What failed, and how. */
  readonly failures: string[] = [];
  #isOver = false;
  readonly #ended: Promise<unknown>;

  private constructor(start: (load: SteadyLoad) => Promise<unknown>) {
    this.#ended = start(this);
  }

  static async start(ports: Ports, rates: Rates): Promise<SteadyLoad> {
    const agent = oneConnection();
    const session = await http2Connect(ports.http2);
    const channel = grpcChannel(ports.grpc);
    const stream = new GrpcEcho(channel);
    const tunnel = await TcpEcho.connect(ports.tcp);
    return new SteadyLoad(async (load) => {
      await Promise.all([
        load.#repeat("HTTP/1, kept alive", rates.http1Kept, async () =>
          wrong(await http1Get(ports.http1, "/", agent)),
        ),
        load.#repeat("HTTP/1, new connection", rates.http1New, async () =>
          wrong(await http1Get(ports.http1)),
        ),
        load.#repeat("HTTP/2, one connection", rates.http2, async () => wrong(await http2Get(session))),
        load.#repeat("gRPC, one stream", rates.grpc, async (n) => {
          await stream.echo(`message ${n}`);
          return undefined;
        }),
        load.#repeat("TCP, one connection", rates.tunnel, async (n) => {
          await tunnel.echo(`message ${n}`);
          return undefined;
        }),
        load.#repeat("TCP, new connection", rates.tcpNew, (n) => tcpCall(ports.tcp, `message ${n}`)),
      ]);
      const { code, details } = await stream.end();
      if (code !== grpcStatus.OK) load.failures.push(`gRPC stream: ${code} ${details}`);
      await tunnel.end();
      agent.destroy();
      session.destroy();
      channel.close();
    });
  }

  /** Ends it after the exchanges under way. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#ended;
  }

  /** One after the other, at the times that the rate asks for; those that are late follow at once. */
  async #repeat(
    kind: string,
    perSecond: number,
    once: (n: number) => Promise<string | undefined>,
  ): Promise<void> {
    if (perSecond === 0) return;
    const startedMs = performance.now();
    for (let n = 1; !this.#isOver; n++) {
      const problem = await once(n).catch((error: unknown) => String(error));
      if (problem !== undefined) this.failures.push(`${kind}, ${n}: ${problem}`);
      this.requests[kind] = n;
      await pause(Math.max(startedMs + (n * 1000) / perSecond - performance.now(), 0));
    }
  }
}

function wrong({ status, body }: { readonly status: number; readonly body: string }): string | undefined {
  return status === 200 && body === "hello" ? undefined : `status ${status}: ${body}`;
}
