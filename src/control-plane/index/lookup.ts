/** The answer to a question of the API: a message, or why there is none, as the gRPC status that says so. */
export type Lookup<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly status: LookupStatus; readonly message: string };

export type LookupStatus = "invalid_argument" | "not_found" | "failed_precondition" | "unknown";

export function answer<T>(value: T): Lookup<T> {
  return { ok: true, value };
}

export function noAnswer(
  status: LookupStatus,
  message: string,
): { readonly ok: false; readonly status: LookupStatus; readonly message: string } {
  return { ok: false, status, message };
}
