/** An application that one client reaches on two paths through the same pair of sidecars: mutual TLS, and clear text. */
import { NAMESPACE } from "../mesh-manifest.ts";
import { freePort, ProcessMesh, type Sidecar } from "../process-mesh.ts";
import { Application, type Ports } from "./application.ts";
import { SERVICE } from "./pair.ts";

export type Path = "mTLS" | "clear text";

/**
 * `mTLS`: the client's outbound side, then the server's inbound side, as in `Pair`.
 *
 * `clear text`: both outbound sides. Without interception nobody comes to an inbound side in clear text, whose port takes
 * only what says where it wants to go. So the client's sidecar balances over an endpoint outside the mesh, which is a
 * forward of the server's sidecar; that one balances over another, which is the application.
 */
export class TwoPaths {
  readonly application: Application;
  readonly mesh: ProcessMesh;
  readonly client: Sidecar;
  readonly server: Sidecar;
  readonly ports: Readonly<Record<Path, Ports>>;

  private constructor(application: Application, mesh: ProcessMesh, server: Sidecar, client: Sidecar) {
    this.application = application;
    this.mesh = mesh;
    this.server = server;
    this.client = client;
    this.ports = {
      mTLS: portsOf(client.forwardPorts.slice(0, 4)),
      "clear text": portsOf(client.forwardPorts.slice(4)),
    };
  }

  /** @param environment further variables of both sidecars. */
  static async start(environment: Readonly<Record<string, string>> = {}): Promise<TwoPaths> {
    const application = await Application.start();
    const { ports } = application;
    let mesh: ProcessMesh | undefined;
    try {
      mesh = await ProcessMesh.start({
        logFilter: "warn",
        workloads: [
          { name: "client", ports: {}, proxyPort: await freePort() },
          { name: "web", ports: { ...ports }, proxyPort: await freePort() },
        ],
        manifests: { "plain.yaml": unmeshed("plain", ports) },
      });
      const server = await mesh.sidecar(
        "web",
        targets(`plain.${NAMESPACE}.svc.cluster.local`, ports),
        environment,
      );
      const relay = portsOf(server.forwardPorts);
      await mesh.writeManifest("relay.yaml", unmeshed("relay", relay));
      const client = await mesh.sidecar(
        "client",
        [...targets(SERVICE, ports), ...targets(`relay.${NAMESPACE}.svc.cluster.local`, relay)],
        environment,
      );
      return new TwoPaths(application, mesh, server, client);
    } catch (error) {
      await mesh?.close();
      await application.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.mesh.close();
    await this.application.close();
  }
}

function targets(service: string, { http1, http2, grpc, tcp }: Ports): readonly string[] {
  return [http1, http2, grpc, tcp].map((port) => `${service}:${port}`);
}

function portsOf([http1 = 0, http2 = 0, grpc = 0, tcp = 0]: readonly number[]): Ports {
  return { http1, http2, grpc, tcp };
}

/** A Service whose only endpoint is on loopback and not of the mesh: it has no identity, so it is spoken to in clear text. */
function unmeshed(name: string, ports: Ports): string {
  const entries = Object.entries(ports).map(([port, number]) => `    - { name: ${port}, port: ${number} }`);
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec:
  ports:
${entries.join("\n")}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, namespace: ${NAMESPACE}, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
endpoints: [{ addresses: ["127.0.0.1"] }]
ports:
${entries.join("\n")}
`;
}
