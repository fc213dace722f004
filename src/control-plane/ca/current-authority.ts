import { createHash } from "node:crypto";
import type { Log } from "../../log/log.ts";
import { wallMs, type Clock, type Timer } from "../../time/clock.ts";
import { WatchCell, type Watch } from "../../watch/watch.ts";
import {
  authorityOfTexts,
  loadOrCreateAuthority,
  readAuthorityTexts,
  type AuthorityTexts,
} from "./authority-files.ts";
import { Authority } from "./authority.ts";

/** How often the files are looked at: three small ones, on file systems that announce changes and on those that do not. */
const POLL_MS = 500;

export interface CurrentAuthorityOptions {
  /** Where the files are; undefined: in memory, new at every start, and never replaced. */
  readonly directory: string | undefined;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The authority in force: that of the directory's files, also after they were replaced.
 *
 * New files are taken up together or not at all. While they do not fit together, as between the copying of one and of the
 * next, the former authority goes on; if that lasts longer than a look, the log says what is wrong, once per state.
 * What was issued before stays valid for as long as it says.
 *
 * Source: linkerd2, pkg/identity/service.go, which reloads its issuer when the mounted Secret changes.
 */
export class CurrentAuthority {
  readonly #options: CurrentAuthorityOptions;
  readonly #cell: WatchCell<Authority>;
  /** The problem of the last look, and the one that has been logged. */
  #seenProblem: string | undefined;
  #toldProblem: string | undefined;
  /** A digest of the files in force: the key in them is not to lie about as text. */
  #taken: string | undefined;
  #timer: Timer | undefined;
  #reading: Promise<void> | undefined;
  #closed = false;

  private constructor(options: CurrentAuthorityOptions, first: Authority) {
    this.#options = options;
    this.#cell = new WatchCell(first);
    if (options.directory !== undefined) this.#schedule(options.directory);
  }

  /** @throws Error if the files of the directory are unusable, or none can be written. */
  static async start(options: CurrentAuthorityOptions): Promise<CurrentAuthority> {
    const { directory, trustDomain } = options;
    if (directory === undefined)
      return new CurrentAuthority(options, Authority.create(trustDomain, wallMs()));
    const first = await loadOrCreateAuthority(directory, trustDomain, wallMs());
    if (!first.ok) throw new Error(first.problem);
    return new CurrentAuthority(options, first.value);
  }

  get authority(): Watch<Authority> {
    return this.#cell;
  }

  /** Stops looking; resolves when no file is being read any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#reading;
  }

  #schedule(directory: string): void {
    if (this.#closed) return;
    this.#timer = this.#options.clock.after(POLL_MS, () => {
      this.#reading = this.#look(directory).finally(() => this.#schedule(directory));
    });
  }

  async #look(directory: string): Promise<void> {
    const { log } = this.#options;
    const texts = await readAuthorityTexts(directory);
    const digest = texts.ok ? digestOf(texts.value) : undefined;
    if (digest !== undefined && digest === this.#taken) return this.#settle(digest);
    const read = texts.ok ? authorityOfTexts(directory, texts.value, wallMs()) : texts;
    if (!read.ok) return this.#refuse(read.problem);
    this.#settle(digest);
    const { issuer, trustAnchorsPem } = read.value;
    const former = this.#cell.value;
    if (former.issuer.der.equals(issuer.der) && former.trustAnchorsPem === trustAnchorsPem) return;
    log.info("Certificate authority replaced", {
      issuer: issuer.x509.fingerprint256,
      valid_until: new Date(issuer.notAfterMs).toISOString(),
      anchors: trustAnchorsPem.split("BEGIN CERTIFICATE").length - 1,
    });
    this.#cell.publish(read.value);
  }

  #settle(digest: string | undefined): void {
    this.#taken = digest;
    this.#seenProblem = undefined;
    this.#toldProblem = undefined;
  }

  #refuse(problem: string): void {
    const isLasting = problem === this.#seenProblem;
    this.#seenProblem = problem;
    if (!isLasting || problem === this.#toldProblem) return;
    this.#toldProblem = problem;
    this.#options.log.error(`Certificate authority refused, the former stays in force: ${problem}`);
  }
}

function digestOf(texts: AuthorityTexts): string {
  return createHash("sha256").update(JSON.stringify(texts)).digest("hex");
}
