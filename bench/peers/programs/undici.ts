/**
 * A proxy on the server of `node:http` and the client of undici.
 *
 *   node bench/peers/programs/undici.ts proxy|outbound|inbound PORT TARGET_PORT CERTS
 *
 * `proxy` speaks clear text both ways, `outbound` mutual TLS to its target, `inbound` mutual TLS to its
 * clients. CERTS is `Certs` as JSON.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { Pool, type Dispatcher } from "undici";
import { certs, part, port, targetPort, tls } from "./setup.ts";

const KEEP_ALIVE_MS = 60_000;
const HOP_BY_HOP = new Set(
  "connection,expect,keep-alive,proxy-connection,te,trailer,transfer-encoding,upgrade".split(","),
);

const outbound = part === "outbound";
const pool = new Pool(`${outbound ? "https" : "http"}://127.0.0.1:${targetPort}`, {
  connections: 256,
  pipelining: 1,
  keepAliveTimeout: KEEP_ALIVE_MS,
  allowH2: false,
  ...(outbound ? { connect: tls } : {}),
});
/** Otherwise undici would ask for the certificate of the name in the Host header. */
const servername = outbound ? certs.name : undefined;

/** Names and values by turns, as `rawHeaders` has them and undici takes them. */
function requestHeaders({ rawHeaders, socket }: IncomingMessage): string[] {
  const headers = ["x-forwarded-for", socket.remoteAddress ?? ""];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? "";
    if (!HOP_BY_HOP.has(name.toLowerCase())) headers.push(name, rawHeaders[i + 1] ?? "");
  }
  return headers;
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#response.once("close", () => {
      if (!this.#response.writableFinished) controller.abort(new Error("the client has gone"));
    });
    this.#response.on("drain", () => controller.resume());
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    for (const name of HOP_BY_HOP) if (name in headers) delete headers[name];
    headers["x-proxy"] = part;
    this.#response.writeHead(status, headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#response.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(): void {
    if (this.#response.headersSent) this.#response.destroy();
    else this.#response.writeHead(502).end();
  }
}

function forward(request: IncomingMessage, response: ServerResponse): void {
  const { method = "GET", url = "/", headers } = request;
  const hasBody = headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined;
  const body = hasBody ? request : null;
  const options = { method, path: url, headers: requestHeaders(request), body, servername };
  pool.dispatch(options, new Exchange(response));
}

const server =
  part === "inbound"
    ? createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: true }, forward)
    : createServer(forward);
server.keepAliveTimeout = KEEP_ALIVE_MS;
server.listen(port, "127.0.0.1");
