/** Where transfers get their connections from: one each, or one for all of them. */
import { Agent } from "node:http";
import type { ClientHttp2Session } from "node:http2";
import type { Client } from "@grpc/grpc-js";
import { SHARED_WINDOW_BYTES } from "./application.ts";
import { grpcChannel, http2Connect } from "./clients.ts";

/** Connections by port. What was taken is given back when the transfer is over. */
export interface Connections {
  /** False: a connection of its own. */
  readonly http1: Agent | false;
  http2(port: number): Promise<ClientHttp2Session>;
  grpc(port: number): Client;
  giveBack(connection: ClientHttp2Session | Client): void;
}

/** A connection for each transfer. */
export const OWN_CONNECTIONS: Connections = {
  http1: false,
  http2: http2Connect,
  grpc: grpcChannel,
  giveBack: close,
};

/** HTTP/2 and gRPC: one connection to each port, for all transfers at once. HTTP/1: connections are used again. */
export class SharedConnections implements Connections {
  readonly http1 = new Agent({ keepAlive: true });
  readonly #sessions = new Map<number, Promise<ClientHttp2Session>>();
  readonly #channels = new Map<number, Client>();

  http2(port: number): Promise<ClientHttp2Session> {
    let session = this.#sessions.get(port);
    if (session === undefined) {
      session = http2Connect(port).then((connected) => {
        connected.setLocalWindowSize(SHARED_WINDOW_BYTES);
        return connected;
      });
      this.#sessions.set(port, session);
    }
    return session;
  }

  grpc(port: number): Client {
    let channel = this.#channels.get(port);
    if (channel === undefined) {
      channel = grpcChannel(port);
      this.#channels.set(port, channel);
    }
    return channel;
  }

  giveBack(): void {
    // The others still need it.
  }

  close(): void {
    this.http1.destroy();
    // Who waited for a session that failed was told; one that still connects is not waited for.
    for (const session of this.#sessions.values()) void session.then(close, () => {});
    for (const channel of this.#channels.values()) close(channel);
  }
}

function close(connection: ClientHttp2Session | Client): void {
  if ("destroy" in connection) connection.destroy();
  else connection.close();
}
