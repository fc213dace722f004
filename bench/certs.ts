import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TestCa } from "../test/support/certs.ts";
import type { Certs } from "./peers/peer.ts";

/** Writes what a pair needs for mutual TLS: one authority, and one certificate that both ends show. */
export async function writeCerts(dir: string): Promise<Certs> {
  const name = "peer.test";
  const ca = TestCa.create();
  const leaf = ca.issue({ id: name });
  const certs = {
    ca: join(dir, "ca.pem"),
    cert: join(dir, "leaf.pem"),
    key: join(dir, "leaf.key"),
    combined: join(dir, "combined.pem"),
    name,
  };
  await writeFile(certs.ca, ca.certPem);
  await writeFile(certs.cert, leaf.chainPem);
  await writeFile(certs.key, leaf.keyPem, { mode: 0o600 });
  await writeFile(certs.combined, leaf.chainPem + leaf.keyPem, { mode: 0o600 });
  return certs;
}
