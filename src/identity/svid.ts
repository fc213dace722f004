import type { KeyObject } from "node:crypto";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { parseCertificate } from "./certificate.ts";
import { splitCertificates } from "./cert-chain.ts";
import { idEquals, parseId, type Id } from "./id.ts";
import { parsePrivateKey } from "./key.ts";

/** An SVID as an agent offers it; nothing about it is verified yet. */
export interface OfferedSvid {
  /** A `spiffe://` URI, on the agent's word. */
  readonly spiffeId: string;
  /** DER certificates end to end, leaf first. */
  readonly chainDer: Buffer;
  /** PKCS#8, DER, unencrypted. */
  readonly keyDer: Buffer;
}

/** A certificate with its key, read but not yet judged: `CredentialsStore` does that. */
export interface Svid {
  readonly leafDer: Buffer;
  /** From the leaf's issuer upward. */
  readonly intermediatesDer: readonly Buffer[];
  readonly key: KeyObject;
  /** The leaf's own end, in wall time milliseconds. */
  readonly notAfterMs: number;
}

export interface SvidChoice {
  /** Ours, or why none is. */
  readonly svid: Parsed<Svid>;
  /** What is wrong with entries that nobody could use, ours or not; at most `NAMED_MAX` of them. */
  readonly dropped: readonly string[];
}

/** Source: SPIFFE, standards/SPIFFE-ID.md section 2.3. */
const SPIFFE_ID_MAX = 2048;
/** How many entries the texts of one answer name. An agent offers one or two; what it says goes to the log. */
const NAMED_MAX = 8;
/** How much of an id they show. */
const SHOWN_MAX = 120;

/**
 * Chooses the SVID of identity `id` among those of one answer: the first that has this id and can be read.
 *
 * A workload may be entitled to several identities; the others are not ours to use, whatever their order.
 *
 * Source: linkerd2-proxy, linkerd/proxy/spire-client/src/api.rs.
 */
export function chooseSvid(offered: readonly OfferedSvid[], id: Id): SvidChoice {
  const dropped: string[] = [];
  const others: string[] = [];
  let svid: Parsed<Svid> | undefined;
  for (const offer of offered) {
    if (svid?.ok === true) break;
    const name = shown(offer.spiffeId);
    const own =
      offer.spiffeId.length <= SPIFFE_ID_MAX ? parseId(offer.spiffeId) : unparsed("longer than ids may be");
    const problem = problemOf(offer, own);
    if (problem !== undefined) dropped.push(`${name}: ${problem}`);
    else if (own.ok && idEquals(own.value, id)) {
      svid = readSvid(offer);
      if (!svid.ok) dropped.push(`${name}: ${svid.problem}`);
    } else others.push(name);
  }
  svid ??= unparsed(
    `no matching SVID: expected ${id.text}, the agent offers ${others.length === 0 ? "none" : listOf(others)}`,
  );
  return { svid, dropped: dropped.slice(0, NAMED_MAX) };
}

/** Reads certificates and key. No part of the key ever appears in the problem. */
export function readSvid({ chainDer, keyDer }: OfferedSvid): Parsed<Svid> {
  const chain = splitCertificates(chainDer);
  if (!chain.ok) return chain;
  const [leafDer, ...intermediatesDer] = chain.value;
  const leaf = parseCertificate(leafDer);
  if (!leaf.ok) return unparsed(`leaf certificate: ${leaf.problem}`);
  const key = parsePrivateKey(keyDer);
  if (!key.ok) return key;
  return parsed({ leafDer, intermediatesDer, key: key.value, notAfterMs: leaf.value.notAfterMs });
}

function problemOf({ chainDer, keyDer }: OfferedSvid, id: Parsed<Id>): string | undefined {
  if (!id.ok || id.value.kind !== "uri") return "the id is not a URI";
  if (chainDer.length === 0) return "it has no certificate";
  return keyDer.length === 0 ? "it has no key" : undefined;
}

/** Quoted, so that nothing in it can pass for a line of a log. */
function shown(id: string): string {
  return JSON.stringify(id.length > SHOWN_MAX ? `${id.slice(0, SHOWN_MAX)}...` : id);
}

function listOf(names: readonly string[]): string {
  const more = names.length - NAMED_MAX;
  return names.slice(0, NAMED_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
