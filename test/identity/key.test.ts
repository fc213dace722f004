import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { parseCsr } from "../../src/identity/csr.ts";
import { generateKeyAndCsr, parseKeyAndCsr, parsePrivateKey } from "../../src/identity/key.ts";

const WEB = "web.shop.serviceaccount.identity.linkerd.cluster.local";

describe("the key of a proxy", () => {
  it("is made on P-256 with a request that it signed", () => {
    const { key, csr } = generateKeyAndCsr(WEB);
    assert.equal(key.asymmetricKeyDetails?.namedCurve, "prime256v1");
    const parsedCsr = parseCsr(csr);
    assert.ok(parsedCsr.ok && parsedCsr.value.publicKey.equals(createPublicKey(key)));
  });

  it("is taken from a launcher's files together with the request", () => {
    const made = generateKeyAndCsr(WEB);
    const taken = parseKeyAndCsr(made.key.export({ type: "pkcs8", format: "der" }), made.csr);
    assert.ok(taken.ok);
    assert.ok(taken.value.key.equals(made.key));
    assert.equal(taken.value.csr, made.csr);
  });

  it("is refused with a request made by another key", () => {
    const keyDer = generateKeyAndCsr(WEB).key.export({ type: "pkcs8", format: "der" });
    assert.deepEqual(parseKeyAndCsr(keyDer, generateKeyAndCsr(WEB).csr), {
      ok: false,
      problem: "the certificate request was made with another key",
    });
  });

  it("is refused if it is of another kind, or no key, without showing any of it", () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
      type: "pkcs8",
      format: "der",
    });
    const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey.export({
      type: "pkcs8",
      format: "der",
    });
    assert.deepEqual(parsePrivateKey(rsa), {
      ok: false,
      problem: "a private key of kind rsa, expected ECDSA P-256",
    });
    assert.deepEqual(parsePrivateKey(p384), {
      ok: false,
      problem: "a private key of kind secp384r1, expected ECDSA P-256",
    });
    assert.deepEqual(parsePrivateKey(Buffer.from("c2VjcmV0")), {
      ok: false,
      problem: "not an unencrypted private key in PKCS#8 DER",
    });
  });
});
