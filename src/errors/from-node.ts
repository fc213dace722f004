import { ProxyError } from "./proxy-error.ts";

/** The only door through which Node's errors become ours. Codes like ECONNRESET stay readable through `errnoOf`. */
export function errorFromNode(thrown: unknown, doing: string): ProxyError {
  if (thrown instanceof ProxyError) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return new ProxyError("io", `${doing}: ${text}`, { cause: thrown });
}

/** The errno name (`ECONNRESET`) or Node/OpenSSL code at the root of an error, for logs and the `errno` label; "" if there is none. */
export function errnoOf(error: unknown): string {
  let at: unknown = error;
  for (let depth = 0; depth < 8 && at instanceof Error; depth++) {
    if ("code" in at && typeof at.code === "string" && !(at instanceof ProxyError)) return at.code;
    at = at.cause;
  }
  return "";
}
