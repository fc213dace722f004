import { parseCertificate, type Certificate } from "../../identity/certificate.ts";
import { parseCsr } from "../../identity/csr.ts";
import { OID_CLIENT_AUTH, OID_SERVER_AUTH } from "../../identity/oids.ts";
import type { TrustRoots } from "../../identity/trust-roots.ts";
import { verifyIssuer } from "../../identity/verify-chain.ts";
import { parsed, unparsed, type Parsed } from "../../parsed.ts";
import { distinguishedName, signCertificate } from "./certificate.ts";
import { createAuthorityMaterial, type AuthorityMaterial } from "./create-authority.ts";
import {
  authorityKeyId,
  basicConstraints,
  extKeyUsage,
  keyUsage,
  subjectAltName,
  subjectKeyId,
} from "./extensions.ts";
import { grantedName } from "./granted-name.ts";
import { certificatePem } from "./pem.ts";
import { newSerial } from "./serial.ts";

const SECOND_MS = 1000;

/** How long issued certificates live. */
export interface IssuePolicy {
  /** Counted from now; at least a second. */
  readonly lifetimeMs: number;
  /** Validity added at both ends, for peers whose clocks are off; zero is fine, since times are rounded outwards. */
  readonly clockSkewMs: number;
}

/** Source: linkerd2, charts/linkerd-control-plane/values.yaml. */
export const DEFAULT_ISSUE_POLICY: IssuePolicy = {
  lifetimeMs: 24 * 3600 * SECOND_MS,
  clockSkewMs: 20 * SECOND_MS,
};

/** The answer to a certificate request. */
export interface Issued {
  /** DER. */
  readonly leaf: Buffer;
  /** DER; what the leaf's owner must send with it. The root is not among them. */
  readonly intermediates: readonly Buffer[];
  /** Wall time at which the leaf's validity ends: `valid_until` of the identity API. */
  readonly notAfterMs: number;
}

/** The embedded certificate authority: an issuer that signs leaves, below an anchor that proxies trust. */
export class Authority {
  /** For `LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS`: every anchor of the bundle. */
  readonly trustAnchorsPem: string;
  readonly issuer: Certificate;
  readonly #material: AuthorityMaterial;
  /** Wall time at which issuer or anchor ends, whichever comes first. */
  readonly #endMs: number;

  private constructor(material: AuthorityMaterial, anchors: readonly Certificate[], issuer: Certificate) {
    this.trustAnchorsPem = material.anchors.map(certificatePem).join("");
    this.issuer = issuer;
    this.#material = material;
    const above = anchors.filter((anchor) => anchor.subject.equals(issuer.issuer));
    this.#endMs = Math.min(issuer.notAfterMs, ...above.map((anchor) => anchor.notAfterMs));
  }

  /** Makes a new authority that is kept nowhere. */
  static create(trustDomain: string, nowMs: number): Authority {
    const authority = Authority.of(createAuthorityMaterial(trustDomain, nowMs), nowMs);
    if (!authority.ok) throw new Error(`a new authority is unusable: ${authority.problem}`);
    return authority.value;
  }

  /** Takes up what was made earlier, if it still fits together and is valid at wall time `nowMs`. */
  static of(material: AuthorityMaterial, nowMs: number): Parsed<Authority> {
    const anchors: Certificate[] = [];
    for (const der of material.anchors) {
      const anchor = parseCertificate(der);
      if (!anchor.ok) return unparsed(`trust anchor ${anchors.length + 1}: ${anchor.problem}`);
      anchors.push(anchor.value);
    }
    const issuer = parseCertificate(material.issuer);
    if (!issuer.ok) return unparsed(`issuer: ${issuer.problem}`);
    if (!issuer.value.x509.checkPrivateKey(material.issuerKey)) {
      return unparsed("issuer: certificate belongs to another key");
    }
    const roots: TrustRoots = { anchors, pem: material.anchors.map(certificatePem) };
    const verdict = verifyIssuer(issuer.value, roots, nowMs);
    if (!verdict.ok) return unparsed(`issuer: ${verdict.problem}`);
    return parsed(new Authority(material, anchors, issuer.value));
  }

  /**
   * Certifies the key of a request for an identity that its sender has proved to be.
   *
   * @param csrDer PKCS#10; its signature, key and names are checked.
   * @param nowMs wall time. The leaf is valid at that instant and ends no later than its issuers.
   */
  issue(csrDer: Buffer, identity: string, policy: IssuePolicy, nowMs: number): Parsed<Issued> {
    const csr = parseCsr(csrDer);
    if (!csr.ok) return csr;
    const name = grantedName(csr.value, identity);
    if (!name.ok) return name;
    const spki = csr.value.spki;
    const notBeforeMs = Math.floor((nowMs - policy.clockSkewMs) / SECOND_MS) * SECOND_MS;
    const wantedEndMs = Math.ceil((nowMs + policy.lifetimeMs + policy.clockSkewMs) / SECOND_MS) * SECOND_MS;
    const notAfterMs = Math.min(wantedEndMs, this.#endMs);
    if (notAfterMs <= nowMs) return unparsed("the issuer certificate has expired");
    const leaf = signCertificate(
      {
        serial: newSerial(),
        issuer: this.issuer.subject,
        subject: distinguishedName(""),
        notBeforeMs,
        notAfterMs,
        spki,
        extensions: [
          keyUsage("digitalSignature", "keyEncipherment"),
          extKeyUsage(OID_SERVER_AUTH, OID_CLIENT_AUTH),
          basicConstraints(undefined),
          subjectKeyId(spki),
          authorityKeyId(this.issuer.x509.publicKey.export({ type: "spki", format: "der" })),
          subjectAltName([name.value], true),
        ],
      },
      this.#material.issuerKey,
    );
    return parsed({ leaf, intermediates: [this.#material.issuer], notAfterMs });
  }
}
