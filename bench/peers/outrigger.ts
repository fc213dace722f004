import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { NAMESPACE, opaquePorts, type Annotations } from "../../test/support/mesh-manifest.ts";
import {
  freePort,
  ProcessMesh,
  type ProcessMeshOptions,
  type Sidecar,
} from "../../test/support/process-mesh.ts";
import { pinned, PROXY_CORE } from "../harness/cpu.ts";
import { HOP_SERVICE, PAIR_SERVICE, plainService, type Manifests } from "./manifests.ts";
import type { Job, Peer, Site, StartedPeer } from "./peer.ts";

/** How a state of ourselves differs from the one that users get. */
export interface OutriggerOptions extends Pick<ProcessMeshOptions, "nodeArgs" | "main"> {
  /** Further ones, or others in place of the mesh's own. */
  readonly manifests?: Manifests;
  /** Further ones of the Service behind a pair. */
  readonly annotations?: Annotations;
  /** Further variables of all proxies. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Ourselves at work. */
export interface RunningOutrigger extends StartedPeer {
  /** Where the proxies tell their metrics, by the part they play. */
  readonly adminPorts: Readonly<Record<string, number>>;
}

/** Ourselves, in one state or another. */
export interface OutriggerPeer extends Peer {
  start(job: Job, site: Site): Promise<RunningOutrigger>;
}

/**
 * Ourselves, as users run us: sidecars driven by the embedded control plane, with policy, balancing and metrics on.
 *
 * `hop` is one outbound side in front of an endpoint outside the mesh.
 */
export const outrigger: OutriggerPeer = outriggerWith("outrigger", {});

/** Ourselves with more to do, to run beside ourselves. @param manifests or what makes them for a port of the application. */
export function outriggerWith(
  name: string,
  manifests: Manifests | ((appPort: number) => Manifests),
  options: Omit<OutriggerOptions, "manifests"> = {},
): OutriggerPeer {
  return {
    name,
    missing: () => undefined,
    takes: () => true,
    start(job, site) {
      const made = typeof manifests === "function" ? manifests(site.appPort) : manifests;
      return startOutrigger(job, site, { ...options, manifests: made });
    },
  };
}

/** Another state of ourselves, to measure a change: a checkout with its dependencies installed. */
export function outriggerAt(checkout: string): OutriggerPeer {
  const main = join(resolve(checkout), "src", "main.ts");
  return {
    ...outriggerWith("base", {}, { main }),
    missing: () => (existsSync(main) ? undefined : `there is no ${main}`),
  };
}

export async function startOutrigger(
  { topology, protocol }: Job,
  { appPort }: Site,
  { manifests = {}, annotations = {}, environment = {}, ...options }: OutriggerOptions,
): Promise<RunningOutrigger> {
  const opaque = protocol === "tcp";
  const mesh = await ProcessMesh.start({
    workloads: [
      { name: "client", ports: {}, proxyPort: await freePort() },
      { name: PAIR_SERVICE, ports: { app: appPort }, proxyPort: await freePort(), opaque, annotations },
    ],
    manifests: { "plain.yaml": unmeshed(appPort, opaque), ...manifests },
    prefix: pinned(PROXY_CORE),
    ...options,
    logFilter: "warn",
  });
  try {
    const service = topology === "pair" ? PAIR_SERVICE : HOP_SERVICE;
    const target = `${service}.${NAMESPACE}.svc.cluster.local:${appPort}`;
    // As the injector says it: a port that is not announced has the default policy until the first connection has asked.
    const knownPort = { LINKERD2_PROXY_INBOUND_PORTS: String(appPort) };
    const client = await mesh.sidecar("client", [target], environment);
    const parts: Record<string, Sidecar> =
      topology === "hop"
        ? { proxy: client }
        : {
            outbound: client,
            inbound: await mesh.sidecar(PAIR_SERVICE, [], { ...knownPort, ...environment }),
          };
    const [port = 0] = client.forwardPorts;
    return {
      port,
      proxies: mapValues(parts, ({ pid }) => [pid]),
      readyMs: Object.values(parts).reduce((sum, { readyAfterMs }) => sum + readyAfterMs, 0),
      adminPorts: mapValues(parts, ({ adminPort }) => adminPort),
      async stop() {
        // In order, so that a profile is written.
        for (const sidecar of Object.values(parts)) await mesh.stop(sidecar.process);
        await mesh.close();
      },
    };
  } catch (error) {
    await mesh.close();
    throw error;
  }
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

function unmeshed(port: number, opaque: boolean): string {
  return plainService(HOP_SERVICE, port, ["127.0.0.1"], opaque ? opaquePorts([port]) : "");
}
