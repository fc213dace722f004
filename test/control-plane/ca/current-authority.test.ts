import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { DEFAULT_ISSUE_POLICY, type Authority } from "../../../src/control-plane/ca/authority.ts";
import { CurrentAuthority } from "../../../src/control-plane/ca/current-authority.ts";
import { generateKeyAndCsr } from "../../../src/identity/key.ts";
import { createLog } from "../../../src/log/create-log.ts";
import { fillAuthorityDir, keyPem, replaceFile } from "../../support/authority-dir.ts";
import { TestCa } from "../../support/certs.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { ScratchDir } from "../../support/openssl.ts";
import { until } from "../../socket/pair.ts";

const WEB = "web.shop.serviceaccount.identity.linkerd.cluster.local";

interface Running {
  readonly directory: string;
  readonly lines: readonly string[];
  readonly authority: () => Authority;
  /** Waits until the files have been looked at again. */
  readonly look: () => Promise<void>;
}

/** An authority of two files' making: an issuer below an anchor, whose key the test has. */
async function running(
  root: TestCa,
  issuer: TestCa,
  test: (running: Running) => Promise<void>,
): Promise<void> {
  using files = new ScratchDir();
  const directory = join(files.path, "ca");
  await fillAuthorityDir(directory, [root], issuer);
  const clock = new FakeClock();
  const lines: string[] = [];
  const { log } = createLog({ filter: "info", format: "plain", write: (line) => void lines.push(line) });
  const current = await CurrentAuthority.start({ directory, trustDomain: "cluster.local", clock, log });
  const look = async (): Promise<void> => {
    clock.advance(500);
    await until("the files were looked at", () => clock.timers > 0);
  };
  try {
    await test({ directory, lines, authority: () => current.authority.value, look });
  } finally {
    await current.close();
  }
}

function issuerOf(authority: Authority): string {
  const { csr } = generateKeyAndCsr(WEB);
  const issued = authority.issue(csr, WEB, DEFAULT_ISSUE_POLICY, Date.now());
  assert.ok(issued.ok, issued.ok ? "" : issued.problem);
  const [issuer] = issued.value.intermediates;
  assert.ok(
    issuer !== undefined &&
      new X509Certificate(issued.value.leaf).verify(new X509Certificate(issuer).publicKey),
  );
  return issuer.toString("base64");
}

describe("the authority in force", () => {
  it("is replaced when other files take the place of its own: bundle, issuer, then another anchor's issuer", async () => {
    const [oldRoot, newRoot] = [TestCa.create({ name: "old" }), TestCa.create({ name: "new" })];
    const [first, second, third] = [oldRoot.intermediate(), oldRoot.intermediate(), newRoot.intermediate()];
    await running(oldRoot, first, async ({ directory, authority, look, lines }) => {
      assert.equal(issuerOf(authority()), first.certDer.toString("base64"));
      await replaceFile(directory, "ca.crt", oldRoot.certPem + newRoot.certPem);
      await look();
      assert.equal(authority().trustAnchorsPem, oldRoot.certPem + newRoot.certPem);
      assert.equal(issuerOf(authority()), first.certDer.toString("base64"));
      await fillAuthorityDir(directory, [oldRoot, newRoot], second);
      await look();
      assert.equal(issuerOf(authority()), second.certDer.toString("base64"));
      await fillAuthorityDir(directory, [newRoot], third);
      await look();
      assert.equal(issuerOf(authority()), third.certDer.toString("base64"));
      assert.equal(authority().trustAnchorsPem, newRoot.certPem);
      assert.equal(lines.filter((line) => line.includes("Certificate authority replaced")).length, 3);
    });
  });

  const misfits: readonly [string, (directory: string, root: TestCa) => Promise<void>, RegExp][] = [
    [
      "an issuer whose key is another's",
      (directory, root) => replaceFile(directory, "issuer.crt", root.intermediate().certPem),
      /issuer: certificate belongs to another key/,
    ],
    [
      "an issuer below an anchor that is not in the bundle",
      (directory) => {
        const stranger = TestCa.create();
        return replaceFile(directory, "ca.crt", stranger.certPem);
      },
      /issuer: certificate does not chain to the trust anchors/,
    ],
    [
      "a bundle with something unreadable in it",
      (directory, root) =>
        replaceFile(
          directory,
          "ca.crt",
          `${root.certPem}-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n`,
        ),
      /ca\.crt: trust anchor 2 skipped: not an X\.509 certificate/,
    ],
    [
      "two issuers in one file",
      (directory, root) => replaceFile(directory, "issuer.crt", root.intermediate().certPem + root.certPem),
      /issuer\.crt: found 2 certificates, expected one/,
    ],
    [
      "an issuer that expired",
      async (directory, root) => {
        const expired = root.intermediate({ notAfterMs: Date.now() - 1000 });
        await replaceFile(directory, "issuer.crt", expired.certPem);
        await replaceFile(directory, "issuer.key", keyPem(expired));
      },
      /issuer: certificate expired at/,
    ],
    [
      "no key at all",
      async (directory) => rmSync(join(directory, "issuer.key")),
      /incomplete certificate authority, missing issuer\.key/,
    ],
  ];
  for (const [what, spoil, pattern] of misfits) {
    it(`stays what it was beside ${what}, and says so once`, async () => {
      const root = TestCa.create();
      const issuer = root.intermediate();
      await running(root, issuer, async ({ directory, authority, look, lines }) => {
        const before = authority();
        await spoil(directory, root);
        await look();
        // One look may fall between the copying of two files.
        assert.equal(lines.length, 0, lines.join("\n"));
        for (let n = 0; n < 3; n++) await look();
        assert.equal(authority(), before);
        assert.equal(lines.length, 1, lines.join("\n"));
        assert.match(lines[0] ?? "", /Certificate authority refused, the former stays in force/);
        assert.match(lines[0] ?? "", pattern);
        await fillAuthorityDir(directory, [root], root.intermediate());
        await look();
        assert.notEqual(authority(), before);
      });
    });
  }
});
