/**
 * The way of a connection that names a target:
 *
 *   which names     those under the suffixes                                   gateway-target.ts
 *   serve TCP       authorize, look up, connect, copy                          ../inbound/tcp.ts, connect-target.ts
 *   serve HTTP      as for an application: errors to responses, downgrade,     ../inbound/http-server.ts
 *                   client identity, then authorize each request
 *     gateway       loops, `forwarded`, Host                                   http-gateway.ts, forwarded.ts
 *     target        look up, route, balance, encrypt                           target-service.ts, ../outbound
 *
 * To the inbound side the target is just another application: it lies behind the same policy.
 */
import type { OutboundContext } from "../outbound/context.ts";
import { TargetCache } from "../outbound/context.ts";
import { HeldTargets } from "../outbound/held-targets.ts";
import { defaultAuthority, type Target } from "../outbound/target.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import type { HttpService } from "../http/message.ts";
import type { Applications, Gateway, InboundContext, NamedTarget } from "../inbound/context.ts";
import { clientIdOf, type InboundConnection } from "../inbound/connection.ts";
import { serveHttp } from "../inbound/http-server.ts";
import { serveTcp } from "../inbound/tcp.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import { whenClosed } from "../transport/when-closed.ts";
import { connectTarget } from "./connect-target.ts";
import { domainInvalid, gatewayTarget } from "./gateway-target.ts";
import { HttpGateway, LOOP } from "./http-gateway.ts";
import { RefusingService, TargetService } from "./target-service.ts";

export interface GatewayOptions {
  /** Names under these may be reached; not empty. */
  readonly suffixes: readonly string[];
  /** Our own identity: what comes from it, or has passed it, would go round for ever. */
  readonly localId: string;
  /** How long the stacks of a target outlive their last connection. */
  readonly idleTimeoutMs: number;
}

/**
 * Joins the inbound to the outbound side. Its targets have stacks of their own: they are discovered by other rules than
 * those of applications of this workload.
 *
 * Source: linkerd2-proxy, linkerd/app/gateway/src/{lib,server}.rs.
 */
export class OutboundGateway implements Gateway {
  readonly #outbound: OutboundContext;
  readonly #targets: TargetCache;
  readonly #options: GatewayOptions;

  constructor(outbound: OutboundContext, options: GatewayOptions) {
    this.#outbound = outbound;
    this.#options = options;
    const discovery = { ...outbound.discovery, forGateway: true } as const;
    this.#targets = new TargetCache({ ...outbound, discovery }, options.idleTimeoutMs);
  }

  async serve(
    inbound: InboundContext,
    connection: InboundConnection,
    { name, session }: NamedTarget,
    transport: SocketTransport,
    prefix: Buffer,
  ): Promise<void> {
    const found = gatewayTarget(name, this.#options.suffixes);
    const target: Target = { kind: "name", name };
    const host = defaultAuthority(target);
    const applications = found.ok
      ? this.#applications(connection, transport, target, host)
      : refusing(found.problem);
    const context: InboundContext = { ...inbound, applications };
    if (session === undefined) return serveTcp(context, connection, transport, prefix);
    serveHttp(context, connection, transport, prefix, session, host);
  }

  close(): void {
    this.#targets.close();
  }

  #applications(
    connection: InboundConnection,
    transport: SocketTransport,
    target: Target,
    host: string,
  ): Applications {
    const { localId } = this.#options;
    const outbound = this.#outbound;
    const clientId = clientIdOf(connection) ?? "";
    const gone = new AbortController();
    let held: HeldTargets | undefined;
    let service: HttpService | undefined;
    whenClosed(transport.socket, () => {
      gone.abort();
      held?.close();
    });
    return {
      get hasRoom() {
        return outbound.inFlight.hasRoom;
      },
      acquire: () => {
        held ??= new HeldTargets(this.#targets);
        const { clock, httpFailfastTimeoutMs } = outbound;
        service ??= new HttpGateway(new TargetService(held, target, clock, httpFailfastTimeoutMs), {
          localId,
          clientId,
          host,
        });
        return { value: service, release: () => {} };
      },
      connect: async () => {
        // Bytes cannot be marked, so that this is all that ends a loop of theirs.
        if (clientId === localId) throw new ProxyError("gateway_loop", LOOP, { side: "proxy" });
        return connectTarget(outbound, this.#targets, target, gone.signal);
      },
    };
  }
}

/** In place of a target that is not to be reached: refused, but not before the policy has let the client in. */
function refusing(problem: string): Applications {
  const error = domainInvalid(problem);
  const service = new RefusingService(error);
  return {
    hasRoom: true,
    acquire: () => ({ value: service, release: () => {} }),
    connect: () => Promise.reject(error),
  };
}
