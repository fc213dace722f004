/**
 * Header names and fields with an identity: the same name is always the same object, and a field that a peer indexes in
 * HPACK is the same object on every connection. Policy and codecs then compare references instead of text.
 *
 * Asked for by the HTTP/2 scenario of `npm run bench`: re-encoding an indexed field is one map lookup and one byte.
 */

/** Why a codec or layer looks at a name. A number, because it is switched on for every field of every message. */
export const NameRole = {
  ordinary: 0,
  method: 1,
  scheme: 2,
  authority: 3,
  path: 4,
  status: 5,
  /** `:protocol` and every pseudo-header that we do not know. */
  otherPseudo: 6,
  host: 7,
  contentLength: 8,
  te: 9,
  transferEncoding: 10,
  connection: 11,
  upgrade: 12,
  /** keep-alive and proxy-connection: hop-by-hop, without any meaning to us. */
  keepAlive: 13,
  trailer: 14,
  expect: 15,
} as const;
export type NameRole = (typeof NameRole)[keyof typeof NameRole];

export class HeaderName {
  /** Lower case. */
  readonly text: string;
  readonly role: NameRole;
  /** Index of the first HPACK static entry with this name, 0 if there is none. Written once by wire/hpack/static-table. */
  staticIndex = 0;
  /** Every field of this name carries this very object, so that references decide. Written once by `headerName`. */
  shared = false;

  constructor(text: string, role: NameRole) {
    this.text = text;
    this.role = role;
  }
}

const ROLES = new Map<string, NameRole>([
  [":method", NameRole.method],
  [":scheme", NameRole.scheme],
  [":authority", NameRole.authority],
  [":path", NameRole.path],
  [":status", NameRole.status],
  ["host", NameRole.host],
  ["content-length", NameRole.contentLength],
  ["te", NameRole.te],
  ["transfer-encoding", NameRole.transferEncoding],
  ["connection", NameRole.connection],
  ["upgrade", NameRole.upgrade],
  ["keep-alive", NameRole.keepAlive],
  ["proxy-connection", NameRole.keepAlive],
  ["trailer", NameRole.trailer],
  ["expect", NameRole.expect],
]);

/** Names beyond this many are not remembered, nor long ones: strangers choose them. `HeaderName.shared` tells. */
const NAMES_MAX = 4096;
const NAME_LENGTH_MAX = 128;
const names = new Map<string, HeaderName>();

/** The object of a name. `text` must already be lower case and valid; names in `names` compare by reference. */
export function headerName(text: string): HeaderName {
  let name = names.get(text);
  if (name === undefined) {
    const role = ROLES.get(text) ?? (text.charCodeAt(0) === 0x3a ? NameRole.otherPseudo : NameRole.ordinary);
    name = new HeaderName(text, role);
    if (names.size < NAMES_MAX && text.length <= NAME_LENGTH_MAX) {
      names.set(text, name);
      name.shared = true;
    }
  }
  return name;
}

/** One field line. Values are opaque bytes as a latin1 string. */
export class HeaderField {
  readonly name: HeaderName;
  readonly value: string;
  /** RFC 7541 section 4.1: name + value + 32. */
  readonly size: number;
  /** HPACK static index of exactly this field, 0 if there is none. */
  staticIndex = 0;
  /** Whether it is shared between connections, and so worth an entry in an encoder's dynamic table. */
  interned = false;
  /** A peer asked that no hop ever index it (RFC 7541 section 6.2.3). */
  neverIndex = false;
  /** `name: value CRLF`, made when it is first written to an HTTP/1 connection; only interned fields keep it. */
  http1Line: string | undefined = undefined;

  constructor(name: HeaderName, value: string) {
    this.name = name;
    this.value = value;
    this.size = name.text.length + value.length + 32;
  }
}

/** Fields of one generation of the intern table; the older generation is dropped when the younger is full. */
const INTERN_GENERATION = 4096;
/** Longer fields are not worth the memory of sharing. */
const INTERN_SIZE_MAX = 1024;
let young = new Map<HeaderName, Map<string, HeaderField>>();
let old = new Map<HeaderName, Map<string, HeaderField>>();
let youngCount = 0;

/** A field of its own, for a value that is not expected again. */
export function headerField(name: HeaderName, value: string): HeaderField {
  return new HeaderField(name, value);
}

/** The shared field of this name and value. Bounded: rarely used ones are forgotten and made anew. */
export function internField(name: HeaderName, value: string): HeaderField {
  const found = young.get(name)?.get(value);
  if (found !== undefined) return found;
  const field = old.get(name)?.get(value) ?? new HeaderField(name, value);
  if (field.size > INTERN_SIZE_MAX && field.staticIndex === 0) return field;
  field.interned = true;
  if (youngCount >= INTERN_GENERATION) {
    old = young;
    young = new Map();
    youngCount = 0;
    // The protocol's own fields are never forgotten: a status would else lose its index of one byte.
    for (const values of old.values())
      for (const known of values.values()) if (known.staticIndex !== 0) keep(known);
  }
  keep(field);
  return field;
}

function keep(field: HeaderField): void {
  let values = young.get(field.name);
  if (values === undefined) {
    values = new Map();
    young.set(field.name, values);
  }
  values.set(field.value, field);
  youngCount++;
}

/** The first field of that name, or undefined. Lists are short: a scan beats a map. */
export function findField(fields: readonly HeaderField[], name: HeaderName): HeaderField | undefined {
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (field !== undefined && isNamed(field, name)) return field;
  }
  return undefined;
}

/** Removes every field of that name in place, keeping the order of the rest. */
export function removeFields(fields: HeaderField[], name: HeaderName): void {
  let kept = 0;
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (field === undefined || isNamed(field, name)) continue;
    fields[kept++] = field;
  }
  // Setting a length is slow even where it changes nothing.
  if (kept < fields.length) fields.length = kept;
}

function isNamed(field: HeaderField, name: HeaderName): boolean {
  return field.name === name || (!name.shared && field.name.text === name.text);
}
