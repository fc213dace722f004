import { Pool } from "undici";
import { ID_HEADER } from "./fleet.ts";
import type { RequestKind } from "./outbound-day-result.ts";

/** Each opens as many connections as it needs: a slow answer keeps nobody waiting. */
const POOLS = 8;

/** A request that hangs has failed. */
const ANSWER_WITHIN_MS = 10_000;

/** The application whose requests the proxy carries, over HTTP/1. */
export class DayClient {
  readonly #pools: readonly Pool[];
  #next = 0;

  constructor(port: number) {
    const timeouts = { headersTimeout: ANSWER_WITHIN_MS, bodyTimeout: ANSWER_WITHIN_MS };
    this.#pools = Array.from({ length: POOLS }, () => new Pool(`http://127.0.0.1:${port}`, timeouts));
  }

  /** @returns why it failed, undefined if it brought its own answer. */
  async send(kind: RequestKind, id: string): Promise<string | undefined> {
    const pool = this.#pools[this.#next++ % POOLS];
    try {
      const response = await pool?.request({
        path: "/",
        headers: { [ID_HEADER]: id },
        ...(kind === "read" ? { method: "GET" } : { method: "POST", body: id }),
      });
      const body = await response?.body.text();
      if (response?.statusCode === 200) return body === id ? undefined : "the answer to another request";
      return `${response?.statusCode} ${saidBy(response?.headers["l5d-proxy-error"])}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#pools.map((pool) => pool.close()));
  }
}

const ADDRESS = / ?\d+\.\d+\.\d+\.\d+:\d+/g;

/** The innermost reason that the proxy gives, without the endpoint: causes are counted. */
function saidBy(proxyError: string | string[] | undefined): string {
  if (proxyError === undefined) return "of the application";
  const reason = String(proxyError).split(": ").at(-1) ?? "";
  return `of the proxy: ${reason.replaceAll(ADDRESS, "")}`;
}
