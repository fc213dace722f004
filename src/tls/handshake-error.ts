import { ProxyError } from "../errors/proxy-error.ts";

/** A failed handshake in words for an operator; the original, whose code the `errno` label shows, is kept as cause. */
export function handshakeError(thrown: unknown, doing: string, side: "downstream" | "upstream"): ProxyError {
  if (thrown instanceof ProxyError) return thrown;
  return new ProxyError("io", `${doing}: ${reasonOf(thrown)}`, { cause: thrown, side });
}

function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  // OpenSSL's own message is a line of hexadecimal and source files; what it means stands in `reason`.
  if ("reason" in thrown && typeof thrown.reason === "string") return thrown.reason;
  return thrown.message;
}
