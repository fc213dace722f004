/** The directory of a control plane's certificate authority, as an operator fills it. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pem, type TestCa } from "./certs.ts";

/** Writes one of the files in place of the former, as a whole. */
export async function replaceFile(directory: string, name: string, text: string): Promise<void> {
  const unfinished = join(directory, `.${name}.new`);
  await writeFile(unfinished, text, { mode: 0o600 });
  await rename(unfinished, join(directory, name));
}

/** Writes bundle, issuer and key one after the other. */
export async function fillAuthorityDir(
  directory: string,
  anchors: readonly TestCa[],
  issuer: TestCa,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  await replaceFile(directory, "ca.crt", anchors.map((anchor) => anchor.certPem).join(""));
  await replaceFile(directory, "issuer.crt", issuer.certPem);
  await replaceFile(directory, "issuer.key", keyPem(issuer));
}

export function keyPem({ key }: TestCa): string {
  return pem("PRIVATE KEY", key.export({ type: "pkcs8", format: "der" }));
}
