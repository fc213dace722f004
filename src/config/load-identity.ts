import type { DnsName } from "../addr/dns-name.ts";
import type { Id } from "../identity/id.ts";
import type { BackoffParams } from "../time/backoff.ts";
import type { CertifyConfig, IdentityConfig, SpireConfig } from "./config.ts";
import { VARIABLES } from "./env-names.ts";
import { loadBackoff } from "./load-backoff.ts";
import { loadService } from "./load-control.ts";
import type { Files, Reader } from "./reader.ts";

const SPIRE_BACKOFF: BackoffParams = { minMs: 100, maxMs: 1000, jitter: 0.1 };

/**
 * Who we are and how we come by a certificate; undefined after a problem.
 *
 * The address of a SPIRE agent decides: with it, nothing of the identity service is needed, and nothing of it is read.
 *
 * @param warnings takes what deserves a line at start without being wrong.
 *
 * Source: linkerd2-proxy, linkerd/app/src/env/identity.rs.
 */
export function loadIdentity(r: Reader, files: Files, warnings: string[]): IdentityConfig | undefined {
  const V = VARIABLES;
  if ((r.optional(V.identityDisabled) ?? "") !== "") {
    r.invalid(V.identityDisabled, "identity cannot be disabled", "it to be unset");
  }
  const trustAnchorsPem = r.required(V.trustAnchors);
  const spire = r.isSet(V.spireAddr) ? V.spireAddr : V.spireSocket;
  const own = r.isSet(spire) ? loadSpire(r, spire, warnings) : loadCertify(r, files);
  return trustAnchorsPem === undefined || own === undefined ? undefined : { ...own, trustAnchorsPem };
}

type Own<Config> = Omit<Config, "trustAnchorsPem">;

function loadCertify(r: Reader, files: Files): Own<CertifyConfig> | undefined {
  const V = VARIABLES;
  const names = loadNames(r);
  if (names !== undefined && (names.id.kind !== "dns" || names.id.text !== names.serverName)) {
    const reason = "linkerd identity requires a TLS Id and server name to be the same";
    r.invalid(V.serverId, reason, `the value of ${V.serverName.name}, a DNS name`);
  }
  const service = loadService(r, V.identityService, "identity");
  const dir = r.required(V.dir);
  if (dir !== undefined && !files.isDirectory(dir))
    r.invalid(V.dir, "it is not a directory", "an existing directory");
  const tokenFile = r.required(V.tokenFile);
  if (tokenFile !== undefined) checkToken(r, files.size(tokenFile));
  const minRefreshMs = r.value(V.minRefresh);
  const maxRefreshMs = r.value(V.maxRefresh);
  if (minRefreshMs > maxRefreshMs) {
    r.invalid(V.minRefresh, "it is above the longest pause", `at most ${V.maxRefresh.name}`);
  }
  if (names === undefined || service === undefined || dir === undefined || tokenFile === undefined) {
    return undefined;
  }
  return { kind: "certify", ...names, service, dir, tokenFile, minRefreshMs, maxRefreshMs };
}

function checkToken(r: Reader, bytes: number | undefined): void {
  if (bytes === undefined) r.invalid(VARIABLES.tokenFile, "it cannot be read", "a readable file");
  else if (bytes === 0) r.invalid(VARIABLES.tokenFile, "the file is empty", "a file with a token");
}

function loadSpire(
  r: Reader,
  socket: typeof VARIABLES.spireAddr,
  warnings: string[],
): Own<SpireConfig> | undefined {
  const V = VARIABLES;
  if (socket === V.spireSocket) {
    warnings.push(`${V.spireSocket.name} is deprecated: set ${V.spireAddr.name} instead`);
  }
  const socketPath = r.optional(socket);
  const backoff = loadSpireBackoff(r, warnings);
  const names = loadSpireNames(r, socket.name);
  if (socketPath === undefined || names === undefined) return undefined;
  return { kind: "spire", ...names, socketPath, backoff };
}

/** The model's own slip gave the variables their prefix twice; they are known by both names. */
function loadSpireBackoff(r: Reader, warnings: string[]): BackoffParams {
  const { spireBackoff: plain, spireBackoffTwice: twice } = VARIABLES;
  const isSet = (names: typeof plain): boolean => Object.values(names).some((name) => r.isSet(name));
  if (!isSet(twice)) return loadBackoff(r, plain, SPIRE_BACKOFF);
  if (isSet(plain)) {
    warnings.push(`${plain.min.name} and its like have no effect beside ${twice.min.name} and its like`);
  }
  return loadBackoff(r, twice, SPIRE_BACKOFF);
}

/** An agent hands out SPIFFE ids, and knows nothing of the name that peers ask for. */
function loadSpireNames(r: Reader, why: string): Names | undefined {
  const V = VARIABLES;
  if (r.isSet(V.localName)) {
    const expected = `it to be unset, and ${V.serverId.name} and ${V.serverName.name} in its place`;
    r.invalid(V.localName, `with ${why} the identity is a spiffe URI`, expected);
    return undefined;
  }
  const id = r.required(V.serverId);
  const serverName = r.required(V.serverName);
  if (id !== undefined && !/^spiffe:\/\/[^/]/.test(id.text)) {
    r.invalid(V.serverId, `with ${why} the identity is a spiffe URI`, "spiffe://TRUST-DOMAIN/PATH");
  }
  return id === undefined || serverName === undefined ? undefined : { id, serverName };
}

interface Names {
  readonly id: Id;
  readonly serverName: DnsName;
}

function loadNames(r: Reader): Names | undefined {
  const V = VARIABLES;
  if (r.isSet(V.localName)) {
    const name = r.optional(V.localName);
    return name === undefined ? undefined : { id: { kind: "dns", text: name }, serverName: name };
  }
  if (!r.isSet(V.serverId) && !r.isSet(V.serverName)) {
    r.problems.push(`${V.localName.name} must be set: ${V.localName.sentence}`);
    return undefined;
  }
  const id = r.required(V.serverId);
  const serverName = r.required(V.serverName);
  return id === undefined || serverName === undefined ? undefined : { id, serverName };
}
