import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { seeded } from "../../test/support/chance.ts";
import { freePort } from "../../test/support/process-mesh.ts";
import { loopbackAddresses } from "../load/addresses.ts";

/** How an endpoint answers: in a few milliseconds, only after a second, or at once with 503. */
export type Health = "well" | "slow" | "failing";

/** A request as it came to an endpoint. */
export interface Delivery {
  /** On the clock of `performance.now()`. */
  readonly atMs: number;
  readonly endpoint: number;
  readonly id: string;
}

/** Names a request, so that it is known again when it comes a second time. */
export const ID_HEADER = "x-request-id";

const WELL_MIN_MS = 2;
const WELL_MAX_MS = 8;
const SLOW_MS = 1_000;

/** Longer than any proxy keeps an idle connection: the ends of connections are then what a scenario makes them. */
export const KEEP_ALIVE_MS = 60_000;

/** The endpoints of a Service, each an application on an address of its own, all on the same port. */
export class Fleet {
  readonly port: number;
  readonly addresses: readonly string[];
  /** In the order in which they came. */
  readonly deliveries: Delivery[] = [];
  readonly #healths: Health[];
  readonly #servers: readonly Server[];
  readonly #random = seeded(1);

  private constructor(port: number, addresses: readonly string[]) {
    this.port = port;
    this.addresses = addresses;
    this.#healths = addresses.map(() => "well");
    this.#servers = addresses.map((_, endpoint) =>
      createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) =>
        this.#serve(endpoint, request, response),
      ),
    );
  }

  static async start(count: number): Promise<Fleet> {
    const fleet = new Fleet(await freePort(), loopbackAddresses(count));
    for (let endpoint = 0; endpoint < count; endpoint++) await fleet.restart(endpoint);
    return fleet;
  }

  setHealth(endpoint: number, health: Health): void {
    this.#healths[endpoint] = health;
  }

  /** As when its process ends: connections break, those with a request too, and new ones are refused. */
  kill(endpoint: number): void {
    const server = this.#servers[endpoint];
    server?.close();
    server?.closeAllConnections();
  }

  async restart(endpoint: number): Promise<void> {
    const server = this.#servers[endpoint];
    if (server === undefined) throw new Error(`no endpoint ${endpoint}`);
    await once(server.listen(this.port, this.addresses[endpoint]), "listening");
  }

  close(): void {
    for (const endpoint of this.#servers.keys()) this.kill(endpoint);
  }

  #serve(endpoint: number, request: IncomingMessage, response: ServerResponse): void {
    const id = String(request.headers[ID_HEADER]);
    this.deliveries.push({ atMs: performance.now(), endpoint, id });
    request.resume();
    const health = this.#healths[endpoint];
    if (health === "failing") {
      // Nothing is quicker, which is what makes it look good to a balancer.
      response.writeHead(503).end();
      return;
    }
    const wellMs = WELL_MIN_MS + this.#random() * (WELL_MAX_MS - WELL_MIN_MS);
    setTimeout(() => response.end(id), health === "slow" ? SLOW_MS : wellMs);
  }
}
