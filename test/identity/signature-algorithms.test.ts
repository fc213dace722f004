import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { it } from "node:test";
import { inspect } from "node:util";
import { isBelieved } from "../../src/identity/signature-algorithms.ts";

const ec = (namedCurve: string): KeyObject => generateKeyPairSync("ec", { namedCurve }).publicKey;
const rsa = (modulusLength: number): KeyObject => generateKeyPairSync("rsa", { modulusLength }).publicKey;
const ed25519 = generateKeyPairSync("ed25519").publicKey;
const pss = generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).publicKey;

const ECDSA = { sha1: "1.2.840.10045.4.1", sha256: "1.2.840.10045.4.3.2", sha512: "1.2.840.10045.4.3.4" };
const RSA = { sha1: "1.2.840.113549.1.1.5", sha256: "1.2.840.113549.1.1.11", pss: "1.2.840.113549.1.1.10" };

it("inbound 2.3: signatures of ECDSA, Ed25519 and RSA of 2048 bits with SHA-2 are believed, and no other", () => {
  const cases: readonly [string, KeyObject, boolean][] = [
    [ECDSA.sha256, ec("P-256"), true],
    [ECDSA.sha256, ec("P-384"), true],
    [ECDSA.sha512, ec("P-521"), true],
    [ECDSA.sha256, ec("secp256k1"), false],
    [ECDSA.sha1, ec("P-256"), false],
    [ECDSA.sha256, ed25519, false],
    ["1.3.101.112", ed25519, true],
    ["1.3.101.112", ec("P-256"), false],
    [RSA.sha256, rsa(2048), true],
    [RSA.sha256, rsa(1024), false],
    [RSA.sha1, rsa(2048), false],
    [RSA.sha256, pss, false],
    [RSA.pss, rsa(2048), false],
    [RSA.sha256, ec("P-256"), false],
  ];
  for (const [algorithm, key, expected] of cases) {
    const what = `${algorithm} by ${key.asymmetricKeyType} ${inspect(key.asymmetricKeyDetails)}`;
    assert.equal(isBelieved(algorithm, key), expected, what);
  }
});
