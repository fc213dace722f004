import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../../errors/from-node.ts";
import { writeWhole } from "../ca/write-whole.ts";

/** Bytes of chance in a token. */
const TOKEN_BYTES = 32;

/** What base64url makes of them. */
const TOKEN_TEXT = /^[A-Za-z0-9_-]{43}$/;

/** File names hold 255 bytes; longer identities are named by their digest. */
const PLAIN_NAME_MAX = 200;

/**
 * The secrets with which workloads prove who they are when they ask for a certificate: one random token per identity,
 * kept in memory and, if there is a directory, in one file each that only its owner may read.
 *
 * A token found in the directory is taken up, so that a restart does not turn proxies away. A file that others may read
 * is replaced.
 */
export class TokenStore {
  readonly #directory: string | undefined;
  readonly #tokens = new Map<string, string>();

  constructor(directory: string | undefined) {
    this.#directory = directory;
  }

  /** The token of an identity, or undefined if the manifests know no such identity. */
  tokenFor(identity: string): string | undefined {
    return this.#tokens.get(identity);
  }

  /** Whether `token` is the one of `identity`. Takes equally long whichever part is wrong. */
  accepts(identity: string, token: Uint8Array): boolean {
    const own = this.#tokens.get(identity);
    const expected = digest(own ?? randomBytes(TOKEN_BYTES));
    const offered = digest(Buffer.from(token).toString("latin1").trim());
    return timingSafeEqual(expected, offered) && own !== undefined;
  }

  /**
   * Makes tokens for new identities and forgets those of identities that are gone, which removes their files.
   *
   * @throws if the directory cannot be used; the identities concerned then have no token.
   */
  async setIdentities(identities: ReadonlySet<string>): Promise<void> {
    const gone = [...this.#tokens.keys()].filter((identity) => !identities.has(identity));
    for (const identity of gone) this.#tokens.delete(identity);
    const directory = this.#directory;
    if (directory === undefined) {
      for (const identity of identities)
        if (!this.#tokens.has(identity)) this.#tokens.set(identity, newToken());
      return;
    }
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const identity of gone) await rm(join(directory, tokenFileName(identity)), { force: true });
    for (const identity of identities) {
      if (this.#tokens.has(identity)) continue;
      const path = join(directory, tokenFileName(identity));
      let token = await readToken(path);
      if (token === undefined) {
        token = newToken();
        await writeWhole(path, token, 0o600);
      }
      this.#tokens.set(identity, token);
    }
  }
}

/** The name of an identity's file in the directory: the identity itself, with `/` and `:` of URIs percent-encoded. */
export function tokenFileName(identity: string): string {
  const name = encodeURIComponent(identity);
  return name.length <= PLAIN_NAME_MAX
    ? name
    : `sha256-${createHash("sha256").update(identity).digest("hex")}`;
}

function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString("base64url");
}

function digest(token: string | Buffer): Buffer {
  return createHash("sha256").update(token).digest();
}

/** Undefined if there is none that can be trusted to be a secret. */
async function readToken(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, "r");
    try {
      const { mode } = await file.stat();
      const token = (await file.readFile("utf8")).trim();
      return (mode & 0o077) === 0 && TOKEN_TEXT.test(token) ? token : undefined;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
