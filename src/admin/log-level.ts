import { isUtf8 } from "node:buffer";
import type { Logging } from "../log/create-log.ts";
import {
  BODY_MAX,
  empty,
  methodNotAllowed,
  notLocal,
  untyped,
  type AdminRequest,
  type AdminResponse,
} from "./response.ts";

/**
 * `/proxy-log-level`: the filter of the log, to read with GET and replace with PUT. Only for this host.
 *
 * Source: linkerd2-proxy, linkerd/app/admin/src/server/log/level.rs.
 */
export async function logLevel(request: AdminRequest, logging: Logging): Promise<AdminResponse> {
  if (!request.local) return notLocal();
  if (logging.off) return empty(404);
  if (request.method === "GET" || request.method === "HEAD") return untyped(200, logging.filterText());
  if (request.method !== "PUT") return methodNotAllowed("GET", "PUT");
  const body = await request.body();
  if (body === undefined) return untyped(400, `a filter may be ${BODY_MAX} bytes long`);
  if (!isUtf8(body)) return untyped(400, "a filter must be UTF-8");
  const text = body.toString("utf8").trim();
  const set = logging.setFilter(text);
  if (!set.ok) return untyped(400, set.problem);
  logging.log.target("linkerd_app_admin").info("set new log level", { level: text });
  return empty(204);
}
