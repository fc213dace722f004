/**
 * Which bytes may stand in a field name and in a field value, as one table: the codecs look at every byte once.
 *
 * Source: RFC 9110 sections 5.1, 5.5 and 5.6.2; RFC 9113 section 8.2.1. Control characters in values are refused, as
 * hyper does: what they mean to the next hop is anybody's guess.
 */

/** The byte may not stand in a value. */
export const BAD_IN_VALUE = 1;
/** The byte may not stand in a lower-case name. */
export const BAD_IN_NAME = 2;

const LOWER_CASE_TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";

/** For each byte the flags above. */
export const FIELD_BYTES: Uint8Array = buildTable();

function buildTable(): Uint8Array {
  const table = new Uint8Array(256).fill(BAD_IN_NAME);
  for (let byte = 0; byte < 256; byte++) {
    if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) table[byte] = BAD_IN_NAME | BAD_IN_VALUE;
  }
  for (let i = 0; i < LOWER_CASE_TOKEN.length; i++) table[LOWER_CASE_TOKEN.charCodeAt(i)] = 0;
  return table;
}
