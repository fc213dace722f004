import { createSecureContext, type SecureContext } from "node:tls";
import { generateKeyAndCsr } from "../../identity/key.ts";
import { wallMs } from "../../time/clock.ts";
import { DEFAULT_ISSUE_POLICY, type Authority } from "../ca/authority.ts";
import { certificatePem } from "../ca/pem.ts";

/** A certificate is replaced when this part of its life is over. */
const RENEW_AT = 0.7;

/** The control plane's own certificates: one per server name, issued by its own authority and renewed in time. */
export class ServerCertificates {
  readonly #authority: Authority;
  readonly #names: readonly string[];
  readonly #contexts = new Map<string, { readonly context: SecureContext; readonly renewAtMs: number }>();

  /** @param names DNS identities; the first is shown to clients that ask for none of them. */
  constructor(authority: Authority, names: readonly [string, ...string[]]) {
    this.#authority = authority;
    this.#names = names;
  }

  /** What to show a client that asks for `serverName`. Clients verify the name; showing another one fails closed. */
  contextFor(serverName: string | undefined): SecureContext {
    const asked = this.#names.find((name) => name === serverName);
    const name = asked ?? this.#names[0] ?? "";
    const nowMs = wallMs();
    const current = this.#contexts.get(name);
    if (current !== undefined && nowMs < current.renewAtMs) return current.context;
    const { key, csr } = generateKeyAndCsr(name);
    const issued = this.#authority.issue(csr, name, DEFAULT_ISSUE_POLICY, nowMs);
    if (!issued.ok) throw new Error(`no certificate for ${name}: ${issued.problem}`);
    const { leaf, intermediates, notAfterMs } = issued.value;
    const context = createSecureContext({
      key: key.export({ type: "pkcs8", format: "pem" }),
      cert: [leaf, ...intermediates].map((der) => certificatePem(der)).join(""),
      minVersion: "TLSv1.3",
    });
    this.#contexts.set(name, { context, renewAtMs: nowMs + RENEW_AT * (notAfterMs - nowMs) });
    return context;
  }
}
