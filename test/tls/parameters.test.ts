import assert from "node:assert/strict";
import { it } from "node:test";
import { MESH_TLS, TLS_INFO } from "../../src/tls/parameters.ts";

it("offers TLS 1.3 alone, AES-128 and the hybrid group first, and says so in the model's names", () => {
  assert.equal(MESH_TLS.minVersion, "TLSv1.3");
  assert.deepEqual(TLS_INFO, {
    suites: ["TLS13_AES_128_GCM_SHA256", "TLS13_AES_256_GCM_SHA384", "TLS13_CHACHA20_POLY1305_SHA256"],
    groups: ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1"],
  });
});
