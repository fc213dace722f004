import { isUtf8 } from "node:buffer";
import {
  empty,
  json,
  jsonError,
  notLocal,
  untyped,
  type AdminRequest,
  type AdminResponse,
} from "./response.ts";

/** Names of variables that may hold secrets of whoever shares the environment with us. Ours hold none, only paths of files that do. */
const SECRET_NAME = /TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY/i;
const OUR_NAME = /^(LINKERD2_PROXY_|OUTRIGGER_)/;
const MASK = "***";

const JSON_RANGES = ["application/json", "application/*", "*/*"];

/**
 * `/env.json`: the environment, whole or only the variables that the query names. Only for this host, secrets masked:
 * stricter than the model on purpose (DEV-7, AD-04).
 *
 * Source: linkerd2-proxy, linkerd/app/admin/src/server/json.rs.
 */
export function envJson(request: AdminRequest, environment: ReadonlyMap<string, string>): AdminResponse {
  if (!request.local) return notLocal();
  if (request.method !== "GET" && request.method !== "HEAD") return empty(405);
  const accepts = request.header("accept");
  if (!accepts.every((value) => isUtf8(Buffer.from(value, "latin1")))) {
    return jsonError(400, "Accept header must be UTF-8");
  }
  if (accepts.length > 0 && !accepts.some((value) => JSON_RANGES.some((range) => value.includes(range)))) {
    return untyped(406, "application/json");
  }
  if (request.query === undefined || request.query === "") {
    return json(200, Object.fromEntries([...environment].map(([name, value]) => [name, shown(name, value)])));
  }
  if (request.query.includes("=")) {
    return jsonError(400, "env.json query parameters may not contain key-value pairs");
  }
  const asked = request.query.split("&").map((name): [string, string | null] => {
    const value = environment.get(name);
    return [name, value === undefined ? null : shown(name, value)];
  });
  return json(200, Object.fromEntries(asked));
}

function shown(name: string, value: string): string {
  return SECRET_NAME.test(name) && !OUR_NAME.test(name) ? MASK : value;
}
