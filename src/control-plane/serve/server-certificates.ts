import { createSecureContext, type SecureContext } from "node:tls";
import { generateKeyAndCsr } from "../../identity/key.ts";
import { wallMs } from "../../time/clock.ts";
import type { Watch } from "../../watch/watch.ts";
import { DEFAULT_ISSUE_POLICY, type Authority } from "../ca/authority.ts";
import { certificatePem } from "../ca/pem.ts";

/** A certificate is replaced when this part of its life is over. */
const RENEW_AT = 0.7;

/**
 * The control plane's own certificates: one per server name, issued by its own authority, renewed in time and when the
 * authority is replaced.
 */
export class ServerCertificates {
  readonly #authority: Watch<Authority>;
  readonly #names: readonly string[];
  readonly #contexts = new Map<string, Shown>();

  /** @param names DNS identities; the first is shown to clients that ask for none of them. */
  constructor(authority: Watch<Authority>, names: readonly [string, ...string[]]) {
    this.#authority = authority;
    this.#names = names;
  }

  /** What to show a client that asks for `serverName`. Clients verify the name; showing another one fails closed. */
  contextFor(serverName: string | undefined): SecureContext {
    const asked = this.#names.find((name) => name === serverName);
    const name = asked ?? this.#names[0] ?? "";
    const nowMs = wallMs();
    const current = this.#contexts.get(name);
    const authority = this.#authority.value;
    if (current?.authority === authority && nowMs < current.renewAtMs) return current.context;
    const { key, csr } = generateKeyAndCsr(name);
    const issued = authority.issue(csr, name, DEFAULT_ISSUE_POLICY, nowMs);
    if (!issued.ok) throw new Error(`no certificate for ${name}: ${issued.problem}`);
    const { leaf, intermediates, notAfterMs } = issued.value;
    const context = createSecureContext({
      key: key.export({ type: "pkcs8", format: "pem" }),
      cert: [leaf, ...intermediates].map((der) => certificatePem(der)).join(""),
      minVersion: "TLSv1.3",
    });
    this.#contexts.set(name, { authority, context, renewAtMs: nowMs + RENEW_AT * (notAfterMs - nowMs) });
    return context;
  }
}

interface Shown {
  readonly authority: Authority;
  readonly context: SecureContext;
  readonly renewAtMs: number;
}
