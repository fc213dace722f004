/** Message heads as HPACK blocks. Fields that belong to one HTTP/1 connection are left out, wherever they came from. */
import { internField, NameRole, type HeaderField } from "../wire/header-field.ts";
import type { HpackEncoder } from "../wire/hpack/encoder.ts";
import { PATH, SCHEME_HTTP, type RequestHead, type ResponseHead } from "./message.ts";

const PATH_ROOT = internField(PATH, "/");

/** Sum of the HPACK sizes of the fields of a request head: at least what its block takes. */
export function requestHeadBytes(head: RequestHead): number {
  return (
    head.method.size +
    (head.scheme ?? SCHEME_HTTP).size +
    (head.authority?.size ?? 0) +
    (head.path ?? PATH_ROOT).size +
    fieldsBytes(head.fields)
  );
}

export function responseHeadBytes(head: ResponseHead): number {
  return head.statusField.size + fieldsBytes(head.fields);
}

export function fieldsBytes(fields: readonly HeaderField[]): number {
  let bytes = 0;
  for (let i = 0; i < fields.length; i++) bytes += fields[i]?.size ?? 0;
  return bytes;
}

/** Writes the fields of a request at `offset`, pseudo-header fields first; returns the offset behind. */
export function writeRequestHead(
  encoder: HpackEncoder,
  buffer: Buffer,
  offset: number,
  head: RequestHead,
): number {
  let at = encoder.encode(buffer, offset, head.method);
  // A tunnel has neither scheme nor path (RFC 9113 section 8.5). Elsewhere both are needed; HTTP/1 need not tell a scheme.
  if (head.method.value !== "CONNECT") at = encoder.encode(buffer, at, head.scheme ?? SCHEME_HTTP);
  if (head.authority !== undefined) at = encoder.encode(buffer, at, head.authority);
  if (head.method.value !== "CONNECT") at = encoder.encode(buffer, at, head.path ?? PATH_ROOT);
  return writeFields(encoder, buffer, at, head.fields);
}

export function writeResponseHead(
  encoder: HpackEncoder,
  buffer: Buffer,
  offset: number,
  head: ResponseHead,
): number {
  return writeFields(encoder, buffer, encoder.encode(buffer, offset, head.statusField), head.fields);
}

export function writeFields(
  encoder: HpackEncoder,
  buffer: Buffer,
  offset: number,
  fields: readonly HeaderField[],
): number {
  let at = offset;
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (field !== undefined && mayTravel(field)) at = encoder.encode(buffer, at, field);
  }
  return at;
}

/** RFC 9113 section 8.2.2. */
function mayTravel(field: HeaderField): boolean {
  switch (field.name.role) {
    case NameRole.transferEncoding:
    case NameRole.connection:
    case NameRole.upgrade:
    case NameRole.keepAlive:
      return false;
    case NameRole.te:
      return field.value === "trailers";
    default:
      return true;
  }
}
