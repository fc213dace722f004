import { NameRole, type HeaderField } from "../header-field.ts";

const FORBIDDEN = new Set([
  "authorization",
  "cache-control",
  "content-encoding",
  "content-range",
  "content-type",
  "max-forwards",
  "set-cookie",
]);

/** Whether a field may stand in trailers: nothing that frames, routes, authenticates or controls (RFC 9110 section 6.5.1; list from hyper). */
export function isTrailerField(field: HeaderField): boolean {
  const role = field.name.role;
  if (role === NameRole.ordinary) return !FORBIDDEN.has(field.name.text);
  return role === NameRole.expect;
}
