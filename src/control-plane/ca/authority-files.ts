import { createPrivateKey, type KeyObject } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../../errors/from-node.ts";
import { parseTrustRoots } from "../../identity/trust-roots.ts";
import { parsed, unparsed, type Parsed } from "../../parsed.ts";
import { Authority } from "./authority.ts";
import { createAuthorityMaterial, type AuthorityMaterial } from "./create-authority.ts";
import { certificatePem } from "./pem.ts";
import { writeWhole } from "./write-whole.ts";

/** Names as in the Secret that holds the issuer of an installation. The first is a bundle. */
const ANCHORS_FILE = "ca.crt";
const ISSUER_FILE = "issuer.crt";
const KEY_FILE = "issuer.key";
const FILES = [ANCHORS_FILE, ISSUER_FILE, KEY_FILE] as const;

/** What the three files hold; undefined for one that is not there. */
export type AuthorityTexts = Readonly<Record<(typeof FILES)[number], string | undefined>>;

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
  const texts = await readAuthorityTexts(directory);
  if (!texts.ok) return texts;
  if (FILES.some((name) => texts.value[name] !== undefined)) {
    return authorityOfTexts(directory, texts.value, nowMs);
  }
  const material = createAuthorityMaterial(trustDomain, nowMs);
  try {
    await save(directory, material);
  } catch (error) {
    return unparsed(`${directory}: ${errnoOf(error) || String(error)}`);
  }
  return Authority.of(material, nowMs);
}

/** Reads the files of a directory, whatever is in them. */
export async function readAuthorityTexts(directory: string): Promise<Parsed<AuthorityTexts>> {
  try {
    const [anchors, issuer, key] = await Promise.all(
      FILES.map((name) => readIfPresent(join(directory, name))),
    );
    return parsed({ [ANCHORS_FILE]: anchors, [ISSUER_FILE]: issuer, [KEY_FILE]: key });
  } catch (error) {
    return unparsed(`${directory}: ${errnoOf(error) || String(error)}`);
  }
}

/** The authority that the files make if they fit together; the problem names the directory. */
export function authorityOfTexts(directory: string, texts: AuthorityTexts, nowMs: number): Parsed<Authority> {
  const missing = FILES.filter((name) => texts[name] === undefined);
  if (missing.length > 0) {
    return unparsed(`${directory}: incomplete certificate authority, missing ${missing.join(", ")}`);
  }
  const authority = authorityOfPem(texts, nowMs);
  return authority.ok ? authority : unparsed(`${directory}: ${authority.problem}`);
}

function authorityOfPem(texts: AuthorityTexts, nowMs: number): Parsed<Authority> {
  const anchors = parseTrustRoots(texts[ANCHORS_FILE] ?? "");
  if (!anchors.ok) return unparsed(`${ANCHORS_FILE} is not a bundle of PEM certificates: ${anchors.problem}`);
  // A proxy would go on without the one; whoever wrote it should learn of it here.
  const [warning] = anchors.value.warnings;
  if (warning !== undefined) return unparsed(`${ANCHORS_FILE}: ${warning}`);
  const issuers = parseTrustRoots(texts[ISSUER_FILE] ?? "");
  if (!issuers.ok) return unparsed(`${ISSUER_FILE} is not a PEM certificate: ${issuers.problem}`);
  const [issuer, ...more] = issuers.value.roots.anchors;
  if (issuer === undefined || more.length > 0) {
    return unparsed(
      `${ISSUER_FILE}: found ${more.length + 1} certificates, expected one that an anchor has signed`,
    );
  }
  const issuerKey = keyOf(texts[KEY_FILE] ?? "");
  if (issuerKey === undefined) return unparsed(`${KEY_FILE} is not an unencrypted ECDSA P-256 key in PEM`);
  const material = {
    anchors: anchors.value.roots.anchors.map(({ der }) => der),
    issuer: issuer.der,
    issuerKey,
  };
  return Authority.of(material, nowMs);
}

async function save(directory: string, material: AuthorityMaterial): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const keyPem = material.issuerKey.export({ type: "pkcs8", format: "pem" });
  // The key first: a run that is cut short leaves an incomplete directory, which the next one reports.
  await writeWhole(join(directory, KEY_FILE), keyPem, PRIVATE_MODE);
  await writeWhole(join(directory, ISSUER_FILE), certificatePem(material.issuer), PRIVATE_MODE);
  const bundle = material.anchors.map(certificatePem).join("");
  await writeWhole(join(directory, ANCHORS_FILE), bundle, PRIVATE_MODE);
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
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
