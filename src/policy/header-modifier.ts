import {
  findField,
  internField,
  NameRole,
  removeFields,
  type HeaderField,
  type HeaderName,
} from "../wire/header-field.ts";
import type { HeaderModifier } from "./filter.ts";

/** Fields that say where a message ends or belong to one connection. To change them would let a policy smuggle requests. */
const FRAMING: ReadonlySet<NameRole> = new Set<NameRole>([
  NameRole.contentLength,
  NameRole.te,
  NameRole.transferEncoding,
  NameRole.connection,
  NameRole.upgrade,
  NameRole.keepAlive,
  NameRole.trailer,
]);

/**
 * Changes fields in place: add (append), then set (replace all of that name), then remove.
 *
 * Pseudo-headers and fields that frame the message are left as they are.
 *
 * Source: linkerd2-proxy, linkerd/http/route/src/http/filter/modify_header.rs.
 */
export function applyHeaderModifier(modifier: HeaderModifier, fields: HeaderField[]): void {
  for (const [name, value] of modifier.add) {
    if (isModifiable(name)) fields.push(internField(name, value));
  }
  for (const [name, value] of modifier.set) {
    if (isModifiable(name)) setField(fields, internField(name, value));
  }
  for (const name of modifier.remove) {
    if (isModifiable(name)) removeFields(fields, name);
  }
}

function setField(fields: HeaderField[], field: HeaderField): void {
  if (findField(fields, field.name) !== undefined) removeFields(fields, field.name);
  fields.push(field);
}

function isModifiable(name: HeaderName): boolean {
  return !name.text.startsWith(":") && !FRAMING.has(name.role);
}
