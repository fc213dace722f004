import { parseArgs } from "node:util";
import { parseCidr, type Cidr } from "../addr/cidr.ts";
import { parseDnsName, withoutTrailingDot } from "../addr/dns-name.ts";
import { formatSocketAddr, parseSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { EmbeddedControlPlane, type EmbeddedOptions } from "../control-plane/embedded.ts";
import { DEFAULT_CLUSTER_NETWORKS } from "../control-plane/index/settings.ts";
import { ManifestError } from "../control-plane/resources/folder-watcher.ts";
import { INBOUND_POLICIES } from "../control-plane/resources/inbound-policy-mode.ts";
import { createLog } from "../log/create-log.ts";
import type { Log } from "../log/log.ts";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { forbidMemoryDumps } from "./forbid-memory-dumps.ts";
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "./exit-code.ts";

export const CONTROL_PLANE_HELP = `Usage: outrigger control-plane --resources DIR [options]

Reads manifests (Service, Endpoints, EndpointSlice, HTTPRoute, GRPCRoute, Server, ServerAuthorization, AuthorizationPolicy,
MeshTLSAuthentication, NetworkAuthentication, HTTPLocalRateLimitPolicy, ExternalWorkload, Namespace) from a folder and
serves the mesh's gRPC API: destination, policy and identity. Files that change are live within a second; while a file
is broken, the last good state stays in force.

Options:
  --resources DIR               the folder; its .yaml, .yml and .json files, also those in folders below (required)
  --listen ADDR:PORT            where to listen; may be repeated (default 127.0.0.1:8086). One port takes TLS from
                                everywhere and clear text from this machine alone
  --ca-dir DIR                  keep the certificate authority here (default: in memory, a new one at every start):
                                ca.crt, a bundle of trust anchors; issuer.crt, signed by one of them; issuer.key.
                                Replace them at any time: they are taken up within a second once they fit together
  --trust-anchors FILE          write the trust anchors here, as PEM, and again when they change
  --tokens DIR                  write one token per identity of the manifests here; without its token no proxy gets a
                                certificate
  --identity-lifetime TIME      life of issued certificates, such as 24h, 90s (default 24h, at least 1s)
  --server-name NAME            an identity that the control plane shows under TLS; may be repeated (default
                                linkerd-destination... and linkerd-identity... of the control plane's namespace)
  --trust-domain NAME           last part of identities (default cluster.local)
  --cluster-domain NAME         last part of service names (default cluster.local)
  --control-plane-namespace NS  part of service accounts' identities (default linkerd)
  --cluster-networks LIST       where workloads live; other addresses are egress
                                (default ${DEFAULT_CLUSTER_NETWORKS})
  --default-inbound-policy P    for ports without a Server (default all-unauthenticated); one of
                                ${INBOUND_POLICIES.join(", ")}
  --settle TIME                 how long the folder must be quiet before a change is read, such as 20ms (default 100ms, at
                                most 10s); a folder that is never quiet is read after four times as long
  --log-level FILTER            such as info, debug, or off (default info)
  --log-format plain|json       (default plain)
  --help
`;

/** What a command needs of the process. */
export interface ControlPlaneIo {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Resolves when the process is asked to stop. */
  readonly stopped: Promise<unknown>;
}

/**
 * Runs the embedded control plane until it is asked to stop.
 *
 * @returns the exit code: 0; 64 after naming every problem of flags or manifests; 1 if it cannot listen or keep its files.
 */
export async function run(args: readonly string[], io: ControlPlaneIo = processIo()): Promise<number> {
  const options = parseControlPlaneArgs(args);
  if (options.kind === "help") {
    io.out(CONTROL_PLANE_HELP);
    return EXIT_OK;
  }
  if (options.kind === "bad") {
    for (const problem of options.problems) io.err(`outrigger control-plane: ${problem}\n`);
    io.err("Try 'outrigger control-plane --help'.\n");
    return EXIT_USAGE;
  }
  const log = logOf(options, io);
  // It holds the key of the mesh's issuer.
  const dumpable = forbidMemoryDumps();
  if (dumpable !== undefined) log.info("Memory of this process may be dumped", { reason: dumpable });
  let controlPlane: EmbeddedControlPlane;
  try {
    controlPlane = await EmbeddedControlPlane.start({ ...options.options, log });
  } catch (error) {
    const wrong = error instanceof ManifestError;
    const problems = wrong ? error.problems : [messageOf(error)];
    for (const problem of problems) io.err(`outrigger control-plane: ${problem}\n`);
    return wrong ? EXIT_USAGE : EXIT_FAILURE;
  }
  if (options.options.tokensDir === undefined) {
    log.warn(
      "Without --tokens no proxy can prove its identity: every request for a certificate will be refused",
    );
  }
  const addresses = controlPlane.addresses.map(formatSocketAddr).join(", ");
  log.info("Control plane ready", { addresses, names: controlPlane.serverNames.join(", ") });
  await io.stopped;
  await controlPlane.close();
  return EXIT_OK;
}

export type ControlPlaneArgs =
  | { readonly kind: "help" }
  | { readonly kind: "bad"; readonly problems: readonly string[] }
  | {
      readonly kind: "run";
      readonly options: Omit<EmbeddedOptions, "log">;
      readonly logFilter: string;
      readonly logFormat: "plain" | "json";
    };

const DEFAULT_LISTEN: string[] = ["127.0.0.1:8086"];

const FLAGS = {
  resources: { type: "string" },
  listen: { type: "string", multiple: true, default: DEFAULT_LISTEN },
  "ca-dir": { type: "string" },
  "trust-anchors": { type: "string" },
  tokens: { type: "string" },
  "identity-lifetime": { type: "string", default: "24h" },
  "server-name": { type: "string", multiple: true },
  "trust-domain": { type: "string", default: "cluster.local" },
  "cluster-domain": { type: "string", default: "cluster.local" },
  "control-plane-namespace": { type: "string", default: "linkerd" },
  "cluster-networks": { type: "string", default: DEFAULT_CLUSTER_NETWORKS },
  "default-inbound-policy": { type: "string", default: "all-unauthenticated" },
  settle: { type: "string", default: "100ms" },
  "log-level": { type: "string", default: "info" },
  "log-format": { type: "string", default: "plain" },
  help: { type: "boolean", default: false },
} as const;

/** Reads the flags; reports all that is wrong with them at once. */
export function parseControlPlaneArgs(args: readonly string[]): ControlPlaneArgs {
  let values;
  try {
    ({ values } = parseArgs({ args: [...args], options: FLAGS, allowPositionals: false }));
  } catch (error) {
    return { kind: "bad", problems: [messageOf(error)] };
  }
  if (values.help) return { kind: "help" };
  const problems: string[] = [];
  const read = <T>(flag: string, text: string, parse: (text: string) => Parsed<T>): T | undefined => {
    const value = parse(text);
    if (value.ok) return value.value;
    problems.push(`--${flag}: ${value.problem}`);
    return undefined;
  };
  const resourcesDir = values.resources;
  if (resourcesDir === undefined)
    problems.push("--resources: found nothing, expected the folder with the manifests");
  const listen = values.listen.map((text) => read("listen", text, parseSocketAddr));
  const identityLifetimeMs = read("identity-lifetime", values["identity-lifetime"], parseLifetime);
  const settleMs = read("settle", values.settle, parseSettle);
  const serverNames = values["server-name"]?.map((text) => read("server-name", text, parseDomain));
  const trustDomain = read("trust-domain", values["trust-domain"], parseDomain);
  const clusterDomain = read("cluster-domain", values["cluster-domain"], parseDomain);
  const namespace = read("control-plane-namespace", values["control-plane-namespace"], parseDomain);
  const clusterNetworks = read("cluster-networks", values["cluster-networks"], parseNetworks);
  const policy = read("default-inbound-policy", values["default-inbound-policy"], oneOf(INBOUND_POLICIES));
  const logFormat = read("log-format", values["log-format"], oneOf(["plain", "json"]));
  if (
    problems.length > 0 ||
    resourcesDir === undefined ||
    trustDomain === undefined ||
    clusterDomain === undefined ||
    namespace === undefined ||
    clusterNetworks === undefined ||
    policy === undefined ||
    logFormat === undefined
  ) {
    return { kind: "bad", problems };
  }
  const [firstName, ...otherNames] = (serverNames ?? []).filter((name) => name !== undefined);
  return {
    kind: "run",
    options: {
      resourcesDir,
      listen: listen.filter((addr): addr is SocketAddr => addr !== undefined),
      caDir: values["ca-dir"],
      tokensDir: values.tokens,
      trustAnchorsFile: values["trust-anchors"],
      identityLifetimeMs,
      settleMs,
      serverNames: firstName === undefined ? undefined : [firstName, ...otherNames],
      settings: {
        trustDomain,
        clusterDomain,
        controlPlaneNamespace: namespace,
        clusterNetworks,
        defaultInboundPolicy: policy,
      },
    },
    logFilter: values["log-level"],
    logFormat,
  };
}

const UNIT_MS = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/** A year, which is as long as the authority itself lives. */
const LIFETIME_MAX_MS = 365 * 86_400_000;

const SETTLE_MAX_MS = 10_000;

function parseTime(text: string): number {
  const [, digits, unit] = /^([0-9]{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  return Number(digits) * (UNIT_MS.get(unit ?? "") ?? NaN);
}

function parseSettle(text: string): Parsed<number> {
  const ms = parseTime(text);
  if (ms >= 1 && ms <= SETTLE_MAX_MS) return parsed(ms);
  return unparsed(`found "${text}", expected a time from 1ms to 10s such as 100ms`);
}

function parseLifetime(text: string): Parsed<number> {
  const ms = parseTime(text);
  if (ms >= 1000 && ms <= LIFETIME_MAX_MS) return parsed(ms);
  return unparsed(`found "${text}", expected a time from 1s to 365d such as 24h`);
}

function parseDomain(text: string): Parsed<string> {
  const name = parseDnsName(text);
  return name.ok ? parsed(withoutTrailingDot(name.value)) : unparsed(`found "${text}", expected a DNS name`);
}

function parseNetworks(text: string): Parsed<readonly Cidr[]> {
  const networks: Cidr[] = [];
  for (const item of text.split(",")) {
    const network = parseCidr(item.trim());
    if (!network.ok) return unparsed(`found "${item}", expected a network such as 10.0.0.0/8`);
    networks.push(network.value);
  }
  return parsed(networks);
}

function oneOf<const T extends string>(words: readonly T[]): (text: string) => Parsed<T> {
  return (text) => {
    const match = words.find((word) => word === text);
    return match === undefined
      ? unparsed(`found "${text}", expected one of ${words.join(", ")}`)
      : parsed(match);
  };
}

function logOf(args: Extract<ControlPlaneArgs, { kind: "run" }>, io: ControlPlaneIo): Log {
  const logging = createLog({ filter: args.logFilter, format: args.logFormat, write: io.err });
  const log = logging.log.target("outrigger_control_plane");
  for (const problem of logging.problems) log.warn(problem);
  return log;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function processIo(): ControlPlaneIo {
  return {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    stopped: new Promise((resolve) => {
      process.once("SIGTERM", resolve);
      process.once("SIGINT", resolve);
    }),
  };
}
