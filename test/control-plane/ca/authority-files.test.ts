import assert from "node:assert/strict";
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { loadOrCreateAuthority } from "../../../src/control-plane/ca/authority-files.ts";
import { AUTHORITY_LIFETIME_MS } from "../../../src/control-plane/ca/create-authority.ts";
import type { Parsed } from "../../../src/parsed.ts";
import { ScratchDir } from "../../support/openssl.ts";

const NOW_MS = Date.now();

function problemOf(result: Parsed<unknown>): string {
  assert.ok(!result.ok);
  return result.problem;
}

describe("an authority kept in a directory", () => {
  it("is made once, readable by its owner alone, and found again", async () => {
    using files = new ScratchDir();
    const directory = join(files.path, "ca");
    const first = await loadOrCreateAuthority(directory, "cluster.local", NOW_MS);
    assert.ok(first.ok, first.ok ? "" : first.problem);
    assert.deepEqual(readdirSync(directory).sort(), ["ca.crt", "issuer.crt", "issuer.key"]);
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    assert.equal(statSync(join(directory, "issuer.key")).mode & 0o777, 0o600);
    const second = await loadOrCreateAuthority(directory, "cluster.local", NOW_MS);
    assert.ok(second.ok);
    assert.equal(second.value.trustAnchorsPem, first.value.trustAnchorsPem);
  });

  it("is not replaced when a file is missing: the problem names it", async () => {
    using files = new ScratchDir();
    assert.ok((await loadOrCreateAuthority(files.path, "cluster.local", NOW_MS)).ok);
    rmSync(join(files.path, "issuer.key"));
    const problem = problemOf(await loadOrCreateAuthority(files.path, "cluster.local", NOW_MS));
    assert.equal(problem, `${files.path}: incomplete certificate authority, missing issuer.key`);
    assert.deepEqual(readdirSync(files.path).sort(), ["ca.crt", "issuer.crt"]);
  });

  it("is refused when a file is not what its name says, or when it has expired", async () => {
    for (const name of ["ca.crt", "issuer.crt", "issuer.key"]) {
      using files = new ScratchDir();
      assert.ok((await loadOrCreateAuthority(files.path, "cluster.local", NOW_MS)).ok);
      files.write(name, "garbage");
      assert.match(
        problemOf(await loadOrCreateAuthority(files.path, "cluster.local", NOW_MS)),
        new RegExp(`${name} is not`),
      );
    }
    using files = new ScratchDir();
    assert.ok((await loadOrCreateAuthority(files.path, "cluster.local", NOW_MS)).ok);
    const later = await loadOrCreateAuthority(
      files.path,
      "cluster.local",
      NOW_MS + AUTHORITY_LIFETIME_MS + 1000,
    );
    assert.match(problemOf(later), /issuer: certificate expired at/);
  });

  it("cannot be kept under a file", async () => {
    using files = new ScratchDir();
    const path = files.write("file", "");
    assert.equal(problemOf(await loadOrCreateAuthority(path, "cluster.local", NOW_MS)), `${path}: ENOTDIR`);
  });
});
