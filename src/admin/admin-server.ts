import { isLoopback } from "../addr/ip.ts";
import type { SocketAddr } from "../addr/socket-addr.ts";
import type { HttpService, RequestHead, ResponseSink, Sink } from "../http/message.ts";
import type { Logging } from "../log/create-log.ts";
import { envJson } from "./env-json.ts";
import { Exchange } from "./exchange.ts";
import { logLevel } from "./log-level.ts";
import { metricsPage } from "./metrics-page.ts";
import { empty, notLocal, text, untyped, type AdminRequest, type AdminResponse } from "./response.ts";

/** What the admin server shows and moves. */
export interface AdminOptions {
  /** Whether the proxy has its identity and accepts connections. */
  readonly isReady: () => boolean;
  /** Makes the metrics page, in pieces. */
  readonly scrape: () => AsyncIterable<string>;
  /** All variables that the process was started with. */
  readonly environment: ReadonlyMap<string, string>;
  readonly logging: Logging;
  readonly shutdownEnabled: boolean;
  /** Begins the drain, as a signal would. */
  readonly shutdown: () => void;
}

/**
 * The admin endpoints as services of the waist. Whoever accepts connections asks for the service of each peer, because
 * some endpoints answer only this host, and runs it behind the same HTTP servers and policy as everything else.
 *
 * Source: linkerd2-proxy, linkerd/app/admin/src/server.rs.
 */
export class AdminServer {
  readonly #options: AdminOptions;

  constructor(options: AdminOptions) {
    this.#options = options;
  }

  /** The service for connections from `peer`, the socket's own idea of who that is. */
  serviceFor(peer: SocketAddr): HttpService {
    const local = isLoopback(peer.ip);
    return { call: (head, last, response) => this.#call(head, last, local, response) };
  }

  #call(head: RequestHead, last: boolean, local: boolean, response: ResponseSink): Sink {
    const exchange = new Exchange(head, last, local, response);
    void exchange.answer((request) => this.#handle(request));
    return exchange;
  }

  #handle(request: AdminRequest): AdminResponse | Promise<AdminResponse> {
    const { isReady, scrape, environment, logging } = this.#options;
    switch (request.path) {
      case "/live":
        return text(200, "live\n");
      case "/ready":
        return isReady() ? text(200, "ready\n") : untyped(503, "not ready\n");
      case "/metrics":
        return metricsPage(request, scrape());
      case "/env.json":
        return envJson(request, environment);
      case "/proxy-log-level":
        return logLevel(request, logging);
      case "/shutdown":
        return this.#shutdown(request);
      default:
        return empty(404);
    }
  }

  #shutdown(request: AdminRequest): AdminResponse {
    const { shutdownEnabled, shutdown, logging } = this.#options;
    if (request.method !== "POST") return empty(405);
    if (!request.local) return notLocal();
    if (!shutdownEnabled) return text(404, "shutdown endpoint is not enabled\n");
    const after = (): void => {
      logging.log.target("linkerd_app_admin").info("Received shutdown via admin interface");
      shutdown();
    };
    return { ...text(200, "shutdown\n"), after };
  }
}
