import type { KeyObject } from "node:crypto";
import {
  createSecureContext,
  createServer,
  type SecureContext,
  type SecureContextOptions,
  type Server,
} from "node:tls";
import type { DnsName } from "../addr/dns-name.ts";
import { parseCertChain, type CertChain } from "../identity/cert-chain.ts";
import { idEquals, type Id } from "../identity/id.ts";
import type { TrustRoots } from "../identity/trust-roots.ts";
import { verifyChain } from "../identity/verify-chain.ts";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { WatchCell, type Watch } from "../watch/watch.ts";
import { MESH_TLS } from "./parameters.ts";

/** What handshakes that start now use. Replaced as a whole at each rotation; connections that exist keep what they have. */
export interface Credentials {
  readonly id: Id;
  /** What peers ask for in SNI. */
  readonly serverName: DnsName;
  readonly roots: TrustRoots;
  /** For dialling: verifies servers, and presents our certificate once there is one. */
  readonly clientContext: SecureContext;
  /** Undefined before the first certificate: nobody can then make a TLS connection to us. */
  readonly certified: Certified | undefined;
}

/** The certificate in force. The key is reachable only through what it makes. */
export interface Certified {
  readonly chain: CertChain;
  /** Wall time. */
  readonly notAfterMs: number;
  /**
   * A server to hand accepted sockets to; it never listens. It asks for a client certificate and leaves the verdict to
   * its owner, for whom `authorized` of the socket tells OpenSSL's.
   *
   * @param alpn the only protocols it agrees to; undefined: it negotiates none.
   */
  readonly newServer: (alpn: readonly string[] | undefined) => Server;
}

/** Who we are, what we trust, and our certificate: the one writer of `Credentials`. */
export class CredentialsStore {
  readonly #cell: WatchCell<Credentials>;

  constructor(id: Id, serverName: DnsName, roots: TrustRoots) {
    const clientContext = createSecureContext({ ...MESH_TLS, ca: [...roots.pem] });
    this.#cell = new WatchCell<Credentials>({ id, serverName, roots, clientContext, certified: undefined });
  }

  get credentials(): Watch<Credentials> {
    return this.#cell;
  }

  /**
   * Puts a new certificate in force, or says why it is unusable; the former then stays.
   *
   * It must chain to the roots, name our id and belong to the key. Peers judge it by the same rules.
   *
   * @param expiryMs wall time at which the issuer says that it expires.
   * @param nowMs wall time.
   */
  setCertificate(
    leafDer: Buffer,
    intermediatesDer: readonly Buffer[],
    key: KeyObject,
    expiryMs: number,
    nowMs: number,
  ): Parsed<Certified> {
    const { id, roots } = this.#cell.value;
    if (!(expiryMs > nowMs)) return unparsed(`certificate expired at ${new Date(expiryMs).toISOString()}`);
    const chain = parseCertChain(leafDer, intermediatesDer);
    if (!chain.ok) return chain;
    const verdict = verifyChain(chain.value, roots, nowMs, "server");
    if (!verdict.ok) return verdict;
    const { leaf, intermediates } = chain.value;
    if (!leaf.ids.some((candidate) => idEquals(candidate, id))) {
      return unparsed(`certificate does not name this proxy: expected ${id.text}`);
    }
    if (!leaf.x509.checkPrivateKey(key)) return unparsed("certificate belongs to another key");
    const verifying: SecureContextOptions = { ...MESH_TLS, ca: [...roots.pem] };
    const options: SecureContextOptions = {
      ...verifying,
      cert: [leaf, ...intermediates].map((certificate) => certificate.x509.toString()).join(""),
      key: key.export({ type: "pkcs8", format: "pem" }),
    };
    const serverContext = createSecureContext(options);
    const certified: Certified = {
      chain: chain.value,
      notAfterMs: expiryMs,
      newServer: (alpn) =>
        createServer({
          // Not the key: its text is gone once the two contexts are made.
          ...verifying,
          // Servers do not pass every option on to their own context (`allowPartialTrustChain` is lost), so it is replaced.
          SNICallback: (_name, done) => done(null, serverContext),
          requestCert: true,
          // No certificate is allowed, a bad one is not: only `terminate` can tell these apart.
          rejectUnauthorized: false,
          ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
        }),
    };
    this.#cell.publish({ ...this.#cell.value, clientContext: createSecureContext(options), certified });
    return parsed(certified);
  }
}
