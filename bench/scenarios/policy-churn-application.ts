import { once } from "node:events";
import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { createServer as createTcp, type AddressInfo, type Server, type Socket } from "node:net";
import { identityOf } from "../../test/support/mesh-manifest.ts";
import { allows, CLIENTS, PROTOCOLS, VERSION_HEADER, type ChurnProtocol } from "./policy-churn-policy.ts";

/**
 * An application that is told by which version of the policy each request came, and says so in its answer. It checks by itself
 * that this version lets the client in.
 */
export class ChurnApplication {
  readonly ports: Readonly<Record<ChurnProtocol, number>>;
  readonly mixtures: string[] = [];
  requests = 0;
  readonly #servers: readonly Server[];
  readonly #sockets = new Set<Socket>();

  private constructor(servers: Readonly<Record<ChurnProtocol, Server>>) {
    this.#servers = Object.values(servers);
    const portOf = (protocol: ChurnProtocol): number => (servers[protocol].address() as AddressInfo).port;
    this.ports = { http1: portOf("http1"), http2: portOf("http2"), grpc: portOf("grpc"), tcp: portOf("tcp") };
    for (const server of this.#servers) {
      server.on("connection", (socket: Socket) => {
        this.#sockets.add(socket);
        socket.on("error", () => {}).once("close", () => this.#sockets.delete(socket));
      });
    }
  }

  static async start(): Promise<ChurnApplication> {
    let app: ChurnApplication | undefined;
    const answer =
      (protocol: ChurnProtocol) =>
      (request: Incoming, response: Outgoing): void =>
        app?.answer(protocol, request, response);
    const servers = {
      http1: createHttp1({ keepAliveTimeout: 60_000 }, answer("http1")),
      http2: createHttp2(answer("http2")),
      grpc: createHttp2(answer("grpc")),
      tcp: createTcp((socket) => void socket.pipe(socket)),
    };
    for (const protocol of PROTOCOLS) await once(servers[protocol].listen(0, "127.0.0.1"), "listening");
    app = new ChurnApplication(servers);
    return app;
  }

  answer(protocol: ChurnProtocol, request: Incoming, response: Outgoing): void {
    this.requests++;
    const version = String(request.headers[VERSION_HEADER]);
    const id = request.headers["l5d-client-id"];
    const client = CLIENTS.find((name) => (id === undefined ? name === "plain" : identityOf(name) === id));
    if (client === undefined || !allows(Number(version), client, protocol))
      this.mixtures.push(
        `the application was asked by ${String(id ?? "plain")} over ${protocol} by version ${version}`,
      );
    const grpc = { "content-type": "application/grpc", "grpc-status": "0" };
    request.resume();
    // Both have it; only the union of their overloads cannot be called.
    (response as ServerResponse).writeHead(200, {
      [VERSION_HEADER]: version,
      ...(protocol === "grpc" ? grpc : {}),
    });
    response.end();
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

type Incoming = IncomingMessage | Http2ServerRequest;
type Outgoing = ServerResponse | Http2ServerResponse;
