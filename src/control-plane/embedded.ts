import { Server, ServerCredentials } from "@grpc/grpc-js";
import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import type { Log } from "../log/log.ts";
import { sleep, systemClock, type Clock } from "../time/clock.ts";
import { WatchCell } from "../watch/watch.ts";
import { DEFAULT_ISSUE_POLICY, type IssuePolicy } from "./ca/authority.ts";
import { CurrentAuthority } from "./ca/current-authority.ts";
import { Cluster } from "./index/cluster.ts";
import { findOverlaps } from "./index/egress-networks.ts";
import { DEFAULT_SETTINGS, serviceAccountIdentity, type ClusterSettings } from "./index/settings.ts";
import { FolderWatcher } from "./resources/folder-watcher.ts";
import { formatProblem } from "./resources/problem.ts";
import type { ResourceSet } from "./resources/resource-set.ts";
import { addDestinationService } from "./serve/destination-service.ts";
import { FrontListener } from "./serve/front-listener.ts";
import { IdentityService } from "./serve/identity-service.ts";
import { OpenStreams } from "./serve/open-streams.ts";
import { addPolicyServices } from "./serve/policy-services.ts";
import { writeWhole } from "./ca/write-whole.ts";
import { ServerCertificates } from "./serve/server-certificates.ts";
import { TokenStore } from "./serve/token-store.ts";

export interface EmbeddedOptions {
  /** The folder with the manifests. */
  readonly resourcesDir: string;
  /** At least one; port 0 takes a free one. */
  readonly listen: readonly SocketAddr[];
  /** Where the certificate authority is kept, and may be replaced; undefined: in memory, new at every start. */
  readonly caDir?: string | undefined;
  /** Where each identity's token is written; undefined: tokens are known to `tokenFor` alone. */
  readonly tokensDir?: string | undefined;
  /** Gets the trust anchors as PEM, anew when they change. */
  readonly trustAnchorsFile?: string | undefined;
  /** Life of issued certificates; default 24 hours. */
  readonly identityLifetimeMs?: number | undefined;
  /** Quiet time after a change of the folder before it is read; default 100 ms. */
  readonly settleMs?: number | undefined;
  /** DNS identities that the control plane shows under TLS; default those of the destination and the identity controller. */
  readonly serverNames?: readonly [string, ...string[]] | undefined;
  readonly settings?: Partial<ClusterSettings> | undefined;
  readonly log: Log;
  readonly clock?: Clock | undefined;
}

/** How long streams and calls may take to end at shutdown. */
const CLOSE_GRACE_MS = 500;

/** Requests are small: a name, a token, a certificate request. */
const REQUEST_MAX_BYTES = 64 * 1024;

/** Streams of one connection. A proxy has three or four per target that it knows. */
const STREAMS_MAX = 16_384;

/** A client that has been silent this long is asked whether it is still there, so that streams of dead ones do not stay. */
const KEEPALIVE_MS = 60_000;

/** The control plane in one process: manifests in, the mesh's gRPC API out. */
export class EmbeddedControlPlane {
  /** Where it listens, in the order of the options, with the ports that were bound. */
  readonly addresses: readonly SocketAddr[];
  /** For the `..._SVC_NAME` variables of proxies that speak TLS. */
  readonly serverNames: readonly [string, ...string[]];
  readonly #authority: CurrentAuthority;
  readonly #clock: Clock;
  readonly #folder: FolderWatcher;
  readonly #tokens: TokenStore;
  readonly #tokenWriter: TokenWriter;
  readonly #streams: OpenStreams;
  readonly #server: Server;
  readonly #listeners: readonly FrontListener[];
  readonly #stop: AbortController;
  #closing: Promise<void> | undefined;

  private constructor(parts: {
    readonly authority: CurrentAuthority;
    readonly serverNames: readonly [string, ...string[]];
    readonly clock: Clock;
    readonly folder: FolderWatcher;
    readonly tokens: TokenStore;
    readonly tokenWriter: TokenWriter;
    readonly streams: OpenStreams;
    readonly server: Server;
    readonly listeners: readonly FrontListener[];
    readonly stop: AbortController;
  }) {
    this.addresses = parts.listeners.map((listener) => listener.addr);
    this.#authority = parts.authority;
    this.serverNames = parts.serverNames;
    this.#clock = parts.clock;
    this.#folder = parts.folder;
    this.#tokens = parts.tokens;
    this.#tokenWriter = parts.tokenWriter;
    this.#streams = parts.streams;
    this.#server = parts.server;
    this.#listeners = parts.listeners;
    this.#stop = parts.stop;
  }

  /**
   * Reads the manifests, takes up or makes the authority, writes tokens and trust anchors, and listens.
   *
   * @throws ManifestError with every problem of the manifests; Error naming what else failed.
   */
  static async start(options: EmbeddedOptions): Promise<EmbeddedControlPlane> {
    const { log, clock = systemClock, caDir } = options;
    const settings: ClusterSettings = { ...DEFAULT_SETTINGS, ...options.settings };
    const serverNames = options.serverNames ?? defaultServerNames(settings);
    const folder = await FolderWatcher.start(options.resourcesDir, clock, log, options.settleMs);
    const listeners: FrontListener[] = [];
    const stop = new AbortController();
    let current: CurrentAuthority | undefined;
    try {
      const { trustDomain } = settings;
      current = await CurrentAuthority.start({ directory: caDir, trustDomain, clock, log });
      const { authority } = current;
      const tokens = new TokenStore(options.tokensDir);
      await tokens.setIdentities(identitiesOf(folder.resources.value));
      if (options.trustAnchorsFile !== undefined) {
        await writeWhole(options.trustAnchorsFile, authority.value.trustAnchorsPem, 0o644);
      }
      const clusterOf = (resources: ResourceSet): Cluster => {
        for (const overlap of findOverlaps(resources, settings)) log.warn(formatProblem(overlap));
        return new Cluster(resources, settings);
      };
      const cluster = new WatchCell(clusterOf(folder.resources.value));
      const streams = new OpenStreams(cluster);
      const server = new Server({
        "grpc.max_receive_message_length": REQUEST_MAX_BYTES,
        "grpc.max_concurrent_streams": STREAMS_MAX,
        "grpc.keepalive_time_ms": KEEPALIVE_MS,
      });
      addDestinationService(server, streams);
      addPolicyServices(server, cluster, streams);
      const policy = issuePolicy(options.identityLifetimeMs);
      new IdentityService(authority, tokens, policy, log).addTo(server);
      const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
      const certificates = new ServerCertificates(authority, serverNames);
      for (const addr of options.listen) {
        const onConnection = injector.injectConnection.bind(injector);
        listeners.push(await FrontListener.listen(addr, { certificates, onConnection, clock, log }));
      }
      const tokenWriter = new TokenWriter(tokens, log);
      const { trustAnchorsFile } = options;
      if (trustAnchorsFile !== undefined) {
        authority.subscribe(stop.signal, ({ trustAnchorsPem }) => {
          writeWhole(trustAnchorsFile, trustAnchorsPem, 0o644).catch((error: unknown) =>
            log.error(`Trust anchors were not written: ${String(error)}`),
          );
        });
      }
      folder.resources.subscribe(stop.signal, (resources) => {
        tokenWriter.write(identitiesOf(resources));
        cluster.publish(clusterOf(resources));
      });
      for (const { addr } of listeners) log.info("Control plane listening", { addr: formatSocketAddr(addr) });
      const parts = {
        authority: current,
        serverNames,
        clock,
        folder,
        tokens,
        tokenWriter,
        streams,
        server,
        listeners,
        stop,
      };
      return new EmbeddedControlPlane(parts);
    } catch (error) {
      await Promise.all([folder.close(), current?.close(), ...listeners.map((listener) => listener.close())]);
      throw error;
    }
  }

  /** The first of `addresses`. */
  get address(): SocketAddr {
    const [first] = this.addresses;
    if (first === undefined) throw new Error("the control plane was started without a listener");
    return first;
  }

  /** For `LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS`: the bundle of now. */
  get trustAnchorsPem(): string {
    return this.#authority.authority.value.trustAnchorsPem;
  }

  /** The token of an identity that a manifest names. */
  tokenFor(identity: string): string | undefined {
    return this.#tokens.tokenFor(identity);
  }

  /** Ends all streams with OK, then everything else. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    this.#stop.abort();
    for (const listener of this.#listeners) listener.stopAccepting();
    await Promise.all([this.#folder.close(), this.#authority.close()]);
    await this.#tokenWriter.idle;
    this.#streams.endAll();
    // Its callback comes before the last bytes are out, so the connections themselves are waited for.
    this.#server.tryShutdown(() => {});
    const grace = new AbortController();
    const drained = Promise.all(this.#listeners.map((listener) => listener.drained));
    const impatient = sleep(this.#clock, CLOSE_GRACE_MS, grace.signal).catch(() => {});
    await Promise.race([drained, impatient]);
    grace.abort();
    this.#server.forceShutdown();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }
}

/** Brings the token directory up to date, one state of the manifests after the other. */
class TokenWriter {
  readonly #tokens: TokenStore;
  readonly #log: Log;
  #last: Promise<void> = Promise.resolve();

  constructor(tokens: TokenStore, log: Log) {
    this.#tokens = tokens;
    this.#log = log;
  }

  /** Resolves when nothing is being written. */
  get idle(): Promise<void> {
    return this.#last;
  }

  write(identities: ReadonlySet<string>): void {
    this.#last = this.#last
      .then(() => this.#tokens.setIdentities(identities))
      .catch((error: unknown) => this.#log.error(`Tokens were not written: ${String(error)}`));
  }
}

/** Identities of the destination controller, which serves policy too, and of the identity controller. */
export function defaultServerNames(settings: ClusterSettings): readonly [string, ...string[]] {
  const namespace = settings.controlPlaneNamespace;
  return [
    serviceAccountIdentity(settings, namespace, "linkerd-destination"),
    serviceAccountIdentity(settings, namespace, "linkerd-identity"),
  ];
}

/** The usual skew would dwarf a certificate that lives for seconds; it is kept below a tenth of the life. */
function issuePolicy(lifetimeMs: number | undefined): IssuePolicy {
  if (lifetimeMs === undefined) return DEFAULT_ISSUE_POLICY;
  const clockSkewMs = Math.min(DEFAULT_ISSUE_POLICY.clockSkewMs, lifetimeMs / 10);
  return { lifetimeMs, clockSkewMs };
}

function identitiesOf(resources: ResourceSet): ReadonlySet<string> {
  return new Set(resources.ofKind("ExternalWorkload").map((workload) => workload.identity.text));
}
