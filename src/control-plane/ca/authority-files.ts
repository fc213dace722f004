import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../../errors/from-node.ts";
import { unparsed, type Parsed } from "../../parsed.ts";
import { Authority } from "./authority.ts";
import { createAuthorityMaterial, type AuthorityMaterial } from "./create-authority.ts";
import { certificatePem } from "./pem.ts";
import { writeWhole } from "./write-whole.ts";

/** Names as in the Secret that holds the issuer of an installation. */
const ROOT_FILE = "ca.crt";
const ISSUER_FILE = "issuer.crt";
const KEY_FILE = "issuer.key";

/** Readable by the owner alone. */
const PRIVATE_MODE = 0o600;

/**
 * The authority kept in `directory`; if the directory holds none, makes one and keeps it there.
 *
 * Some of the three files without the others, or files that do not fit together, are a problem for the operator: making a
 * new root would cut off every proxy that trusts the old one.
 *
 * @param nowMs wall time.
 */
export async function loadOrCreateAuthority(
  directory: string,
  trustDomain: string,
  nowMs: number,
): Promise<Parsed<Authority>> {
  try {
    const [root, issuer, key] = await Promise.all(
      [ROOT_FILE, ISSUER_FILE, KEY_FILE].map((name) => readIfPresent(join(directory, name))),
    );
    if (root === undefined && issuer === undefined && key === undefined) {
      const material = createAuthorityMaterial(trustDomain, nowMs);
      await save(directory, material);
      return Authority.of(material, nowMs);
    }
    const missing = Object.entries({ [ROOT_FILE]: root, [ISSUER_FILE]: issuer, [KEY_FILE]: key })
      .filter(([, text]) => text === undefined)
      .map(([name]) => name);
    if (root === undefined || issuer === undefined || key === undefined) {
      return unparsed(`${directory}: incomplete certificate authority, missing ${missing.join(", ")}`);
    }
    const authority = authorityOfPem(root, issuer, key, nowMs);
    return authority.ok ? authority : unparsed(`${directory}: ${authority.problem}`);
  } catch (error) {
    return unparsed(`${directory}: ${errnoOf(error) || String(error)}`);
  }
}

function authorityOfPem(root: string, issuer: string, key: string, nowMs: number): Parsed<Authority> {
  const rootDer = derOf(root);
  if (rootDer === undefined) return unparsed(`${ROOT_FILE} is not a PEM certificate`);
  const issuerDer = derOf(issuer);
  if (issuerDer === undefined) return unparsed(`${ISSUER_FILE} is not a PEM certificate`);
  const issuerKey = keyOf(key);
  if (issuerKey === undefined) return unparsed(`${KEY_FILE} is not an unencrypted ECDSA P-256 key in PEM`);
  return Authority.of({ root: rootDer, issuer: issuerDer, issuerKey }, nowMs);
}

async function save(directory: string, material: AuthorityMaterial): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const keyPem = material.issuerKey.export({ type: "pkcs8", format: "pem" });
  // The key first: a run that is cut short leaves an incomplete directory, which the next one reports.
  await writeWhole(join(directory, KEY_FILE), keyPem, PRIVATE_MODE);
  await writeWhole(join(directory, ISSUER_FILE), certificatePem(material.issuer), PRIVATE_MODE);
  await writeWhole(join(directory, ROOT_FILE), certificatePem(material.root), PRIVATE_MODE);
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function derOf(pem: string): Buffer | undefined {
  try {
    return new X509Certificate(pem).raw;
  } catch {
    return undefined;
  }
}

function keyOf(pem: string): KeyObject | undefined {
  try {
    const key = createPrivateKey(pem);
    return key.asymmetricKeyDetails?.namedCurve === "prime256v1" ? key : undefined;
  } catch {
    return undefined;
  }
}
