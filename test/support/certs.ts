import { createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import {
  authorityKeyId,
  basicConstraints,
  extKeyUsage,
  keyUsage,
  subjectAltName,
  subjectKeyId,
  type Extension,
} from "../../src/control-plane/ca/extensions.ts";
import { distinguishedName, signCertificate } from "../../src/control-plane/ca/certificate.ts";
import { OID_CLIENT_AUTH, OID_SERVER_AUTH } from "../../src/identity/oids.ts";
import type { GeneralName } from "../../src/identity/subject-alt-name.ts";

const HOUR_MS = 3_600_000;

/** A leaf certificate with its key, in every form that a test may need. */
export interface TestLeaf {
  readonly key: KeyObject;
  /** PKCS#8. */
  readonly keyPem: string;
  readonly keyDer: Buffer;
  readonly leafDer: Buffer;
  /** What the peer must send besides the leaf; empty if the root signed it. */
  readonly intermediatesDer: readonly Buffer[];
  readonly leafPem: string;
  /** Leaf and intermediates, as `tls` options and OpenSSL want them. */
  readonly chainPem: string;
  readonly notAfterMs: number;
}

export interface LeafOptions {
  /** Short for `names` of kind dns or uri (anything with "://"). */
  readonly id?: string;
  readonly names?: readonly GeneralName[];
  readonly commonName?: string;
  /** Default: an hour ago until in an hour. */
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  /** Makes the leaf claim to be an authority. */
  readonly authority?: boolean;
  /** Object identifiers; default client and server; empty: no such extension. */
  readonly extKeyUsage?: readonly string[];
  /** Default: a fresh P-256 key. */
  readonly key?: KeyObject;
  /** Certifies a key of another kind, "rsa" being one that a mesh peer must not use. */
  readonly keyType?: "P-256" | "P-384" | "ed25519" | "rsa";
  readonly extraExtensions?: readonly Extension[];
}

export interface TestCaOptions {
  readonly name?: string;
  /** Default: a fresh P-256 key. */
  readonly key?: KeyObject;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
}

/** A certificate authority for tests: P-256, valid from an hour ago for ten hours. */
export class TestCa {
  readonly key: KeyObject;
  readonly certDer: Buffer;
  readonly certPem: string;
  readonly #name: Buffer;
  /** From this authority up to, but not including, the root. */
  readonly #sent: readonly Buffer[];

  private constructor(name: string, key: KeyObject, certDer: Buffer, sent: readonly Buffer[]) {
    this.key = key;
    this.certDer = certDer;
    this.certPem = pem("CERTIFICATE", certDer);
    this.#name = distinguishedName(name);
    this.#sent = sent;
  }

  /** A self-signed root. */
  static create(options: TestCaOptions = {}): TestCa {
    const name = options.name ?? "root.linkerd.cluster.local";
    const key = options.key ?? newKey("P-256");
    return new TestCa(name, key, authorityCertificate(name, key, options, distinguishedName(name), key), []);
  }

  /** An authority below this one; its leaves come with its own certificate as intermediate. */
  intermediate(
    options: TestCaOptions & {
      readonly maxIssuersBelow?: number;
      readonly extra?: readonly Extension[];
    } = {},
  ): TestCa {
    const name = options.name ?? "identity.linkerd.cluster.local";
    const key = options.key ?? newKey("P-256");
    const certDer = authorityCertificate(
      name,
      key,
      options,
      this.#name,
      this.key,
      options.maxIssuersBelow,
      options.extra,
    );
    return new TestCa(name, key, certDer, [certDer, ...this.#sent]);
  }

  issue(options: LeafOptions = {}): TestLeaf {
    const key = options.key ?? newKey(options.keyType ?? "P-256");
    const spki = spkiOf(key);
    const names = options.names ?? (options.id === undefined ? [] : [nameOf(options.id)]);
    const purposes = options.extKeyUsage ?? [OID_SERVER_AUTH, OID_CLIENT_AUTH];
    const notAfterMs = options.notAfterMs ?? Date.now() + HOUR_MS;
    const leafDer = signCertificate(
      {
        serial: newSerial(),
        issuer: this.#name,
        subject: distinguishedName(options.commonName ?? ""),
        notBeforeMs: options.notBeforeMs ?? Math.min(Date.now(), notAfterMs) - HOUR_MS,
        notAfterMs,
        spki,
        extensions: [
          keyUsage(
            "digitalSignature",
            "keyEncipherment",
            ...(options.authority ? (["keyCertSign"] as const) : []),
          ),
          ...(purposes.length === 0 ? [] : [extKeyUsage(...purposes)]),
          basicConstraints(options.authority ? {} : undefined),
          authorityKeyId(spkiOf(this.key)),
          ...(names.length === 0 ? [] : [subjectAltName(names, (options.commonName ?? "") === "")]),
          ...(options.extraExtensions ?? []),
        ],
      },
      this.key,
    );
    const keyDer = key.export({ type: "pkcs8", format: "der" });
    const leafPem = pem("CERTIFICATE", leafDer);
    return {
      key,
      keyPem: pem("PRIVATE KEY", keyDer),
      keyDer,
      leafDer,
      intermediatesDer: this.#sent,
      leafPem,
      chainPem: leafPem + this.#sent.map((der) => pem("CERTIFICATE", der)).join(""),
      notAfterMs,
    };
  }
}

export function pem(label: "CERTIFICATE" | "PRIVATE KEY" | "CERTIFICATE REQUEST", der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

function nameOf(id: string): GeneralName {
  return { kind: id.includes("://") ? "uri" : "dns", text: id };
}

function newKey(type: "P-256" | "P-384" | "ed25519" | "rsa"): KeyObject {
  if (type === "ed25519") return generateKeyPairSync("ed25519").privateKey;
  if (type === "rsa") return generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  return generateKeyPairSync("ec", { namedCurve: type }).privateKey;
}

function newSerial(): Buffer {
  const serial = randomBytes(8);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
}

function spkiOf(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ type: "spki", format: "der" });
}

function authorityCertificate(
  name: string,
  key: KeyObject,
  options: TestCaOptions,
  issuer: Buffer,
  issuerKey: KeyObject,
  maxIssuersBelow?: number,
  extra: readonly Extension[] = [],
): Buffer {
  const notAfterMs = options.notAfterMs ?? Date.now() + 9 * HOUR_MS;
  return signCertificate(
    {
      serial: newSerial(),
      issuer,
      subject: distinguishedName(name),
      notBeforeMs: options.notBeforeMs ?? Math.min(Date.now(), notAfterMs) - HOUR_MS,
      notAfterMs,
      spki: spkiOf(key),
      extensions: [
        keyUsage("keyCertSign", "cRLSign"),
        basicConstraints({ maxIssuersBelow }),
        subjectKeyId(spkiOf(key)),
        ...(issuerKey === key ? [] : [authorityKeyId(spkiOf(issuerKey))]),
        ...extra,
      ],
    },
    issuerKey,
  );
}
