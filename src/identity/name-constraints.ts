import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { DER_SEQUENCE, readConstructed, readElements, type DerElement } from "./der-reader.ts";
import { DIRECTORY_NAME, generalNameOf, type GeneralName } from "./subject-alt-name.ts";

/** The names that an authority may certify: every one that is under a permitted base of its kind and under no excluded one. */
export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

/**
 * Reads the value of a nameConstraints extension (RFC 5280, section 4.2.1.10); undefined if it is malformed or uses the
 * minimum or maximum that the RFC forbids.
 */
export function readNameConstraints(value: Buffer): NameConstraints | undefined {
  const subtrees = readConstructed(value, DER_SEQUENCE);
  if (subtrees === undefined) return undefined;
  let permitted: readonly GeneralName[] = [];
  let excluded: readonly GeneralName[] = [];
  let last = 0;
  for (const element of subtrees) {
    // In this order, each at most once.
    if (element.tag <= last) return undefined;
    last = element.tag;
    const bases = readBases(element);
    if (bases === undefined) return undefined;
    if (element.tag === TAG_PERMITTED) permitted = bases;
    else if (element.tag === TAG_EXCLUDED) excluded = bases;
    else return undefined;
  }
  return { permitted, excluded };
}

const TAG_PERMITTED = 0xa0;
const TAG_EXCLUDED = 0xa1;

function readBases({ content }: DerElement): GeneralName[] | undefined {
  const bases: GeneralName[] = [];
  const subtrees = readElements(content);
  if (subtrees === undefined) return undefined;
  for (const subtree of subtrees) {
    const [base, ...bounds] = readConstructed(subtree.whole, DER_SEQUENCE) ?? [];
    if (base === undefined || bounds.length > 0) return undefined;
    bases.push(generalNameOf(base));
  }
  return bases;
}

/**
 * Why a certificate with these names may not stand below an authority with these constraints.
 *
 * What cannot be compared is refused rather than let pass: constraints on directory names and URIs match nothing when
 * they permit and everything when they exclude, since every certificate has a subject; so do those on kinds that mean
 * nothing to a mesh, if the certificate has a name of that kind.
 *
 * Source: webpki, src/subject_name/mod.rs.
 */
export function nameConstraintProblem(
  names: readonly GeneralName[],
  { permitted, excluded }: NameConstraints,
): string | undefined {
  for (const name of [...names, SUBJECT]) {
    let isPermitted = false;
    let isLimited = false;
    for (const base of permitted) {
      if (!isSameKind(name, base)) continue;
      const within = isWithin(name, base, false);
      if (!within.ok) return within.problem;
      isLimited = true;
      isPermitted ||= within.value;
    }
    if (isLimited && !isPermitted) return `${inWords(name)} is outside of what its issuer may certify`;
    for (const base of excluded) {
      if (!isSameKind(name, base)) continue;
      const within = isWithin(name, base, true);
      if (!within.ok) return within.problem;
      if (within.value) return `${inWords(name)} is excluded from what its issuer may certify`;
    }
  }
  return undefined;
}

/** Stands for the subject, whatever it says. */
const SUBJECT: GeneralName = { kind: "other", number: DIRECTORY_NAME };

function isSameKind(name: GeneralName, base: GeneralName): boolean {
  if (name.kind !== base.kind) return false;
  return name.kind !== "other" || base.kind !== "other" || name.number === base.number;
}

/** @param excludes whether the base excludes: what is not understood is then within it, else outside. */
function isWithin(name: GeneralName, base: GeneralName, excludes: boolean): Parsed<boolean> {
  if (name.kind === "dns" && base.kind === "dns") return isDnsWithin(name.text, base.text, excludes);
  if (name.kind === "ip" && base.kind === "ip") return isIpWithin(name.bytes, base.bytes);
  return parsed(excludes);
}

/**
 * A base means itself and everything below it; with a dot in front, only what is below it; empty, everything.
 *
 * A wildcard stands for any label: it is within an excluded base if one of its expansions could be, and within a
 * permitted one only if all of them are.
 */
function isDnsWithin(name: string, base: string, excludes: boolean): Parsed<boolean> {
  const lowerName = name.toLowerCase();
  const lowerBase = base.toLowerCase();
  const isWild = lowerName.startsWith("*.");
  if (!HOST.test(isWild ? lowerName.slice(2) : lowerName))
    return unparsed("malformed DNS name in the certificate");
  if (lowerBase === "") return parsed(true);
  const bare = lowerBase.startsWith(".") ? lowerBase.slice(1) : lowerBase;
  if (!HOST.test(bare)) return unparsed("malformed name constraint");
  if (lowerName.endsWith(`.${bare}`)) return parsed(true);
  if (lowerName === bare) return parsed(lowerBase === bare);
  const parent = lowerName.slice(1);
  const label = bare.slice(0, -parent.length);
  return parsed(isWild && excludes && bare.endsWith(parent) && !label.includes("."));
}

/** Labels of letters, digits, hyphens and underscores, none empty. */
const HOST = /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;

/** @param base an address and a mask of the same length. */
function isIpWithin(address: Buffer, base: Buffer): Parsed<boolean> {
  const length = address.length;
  if (length !== 4 && length !== 16) return unparsed("malformed address in the certificate");
  if (base.length !== 8 && base.length !== 32) return unparsed("malformed name constraint");
  if (base.length !== 2 * length) return parsed(false);
  const mask = base.subarray(length);
  return parsed(address.every((byte, i) => ((byte ^ (base[i] ?? 0)) & (mask[i] ?? 0)) === 0));
}

/** Printable: the text of a certificate is a stranger's. */
function inWords(name: GeneralName): string {
  if (name.kind === "dns" || name.kind === "uri") {
    return `the name ${JSON.stringify(name.text.slice(0, 253))}`;
  }
  return name === SUBJECT ? "the subject" : `a name of kind ${name.kind}`;
}
