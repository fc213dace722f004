/** A peer that speaks mutual TLS as another proxy's inbound side would, and tells what it was sent. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import type { TestContext } from "node:test";
import type { Ip } from "../../src/addr/ip.ts";
import type { SocketAddr } from "../../src/addr/socket-addr.ts";
import { createFamilies } from "../../src/metrics/families.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import { Dialer } from "../../src/outbound/dial.ts";
import { NO_METADATA, type Endpoint, type EndpointMetadata } from "../../src/policy/endpoint.ts";
import { systemClock } from "../../src/time/clock.ts";
import { TransportMetrics } from "../../src/transport/transport-metrics.ts";
import { TestCa } from "../support/certs.ts";
import { certifiedStore, id, originatorOf, unwrap, WEB } from "../tls/mesh-peer.ts";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { addr } from "./scripted.ts";

const CA = TestCa.create();

/** A dialler with a certificate that meshed peers take. */
export function dialerWith(options: {
  allowLoopback?: boolean;
  localIps?: readonly Ip[];
  connectTimeoutMs?: number;
}): Dialer {
  const { allowLoopback = true, localIps = [], connectTimeoutMs = 1_000 } = options;
  const families = createFamilies(new MetricRegistry(systemClock, 600_000));
  return new Dialer({
    clock: systemClock,
    families,
    transportMetrics: new TransportMetrics(families),
    originator: originatorOf(certifiedStore(CA), connectTimeoutMs),
    connectTimeoutMs,
    keepAliveMs: undefined,
    userTimeoutMs: undefined,
    localIps,
    allowLoopback,
  });
}

/** What a peer saw of one connection. */
export interface MeshedConnection {
  readonly socket: TLSSocket;
  bytes: Buffer;
}

export class MeshedPeer {
  readonly addr: SocketAddr;
  readonly accepted: MeshedConnection[];

  private constructor(addr: SocketAddr, accepted: MeshedConnection[]) {
    this.addr = addr;
    this.accepted = accepted;
  }

  /** @param alpn what it agrees to; none like a peer of another kind. */
  static async start(t: TestContext, alpn: readonly string[] = ["transport.l5d.io/v1"]): Promise<MeshedPeer> {
    const leaf = CA.issue({ id: WEB });
    const accepted: MeshedConnection[] = [];
    const server = createServer(
      {
        key: leaf.keyPem,
        cert: leaf.chainPem,
        ca: CA.certPem,
        requestCert: true,
        minVersion: "TLSv1.3",
        ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
      },
      (socket) => {
        const connection: MeshedConnection = { socket, bytes: Buffer.alloc(0) };
        socket.on("error", () => {});
        socket.on("data", (chunk: Buffer) => (connection.bytes = Buffer.concat([connection.bytes, chunk])));
        accepted.push(connection);
      },
    );
    server.on("tlsClientError", () => {});
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      for (const { socket } of accepted) socket.destroy();
      server.close();
    });
    // A TCP server that listens has an address, and it is not a string.
    return new MeshedPeer(addr(`127.0.0.1:${(server.address() as AddressInfo).port}`), accepted);
  }

  /** Metadata of an endpoint behind this peer, whose own port is another one. */
  metadata(more: Partial<EndpointMetadata> = {}): EndpointMetadata {
    const serverName = unwrap(parseDnsName(WEB));
    return {
      ...NO_METADATA,
      identity: { kind: "mesh", serverId: id(WEB), serverName },
      taggedTransportPort: this.addr.port,
      ...more,
    };
  }

  endpoint(port: number, more: Partial<EndpointMetadata> = {}): Endpoint {
    return { addr: { ip: this.addr.ip, port }, metadata: this.metadata(more) };
  }
}
