import { headerName, type HeaderName } from "../../wire/header-field.ts";
import type { Headers } from "../../proto/gen/http_types_pb.js";
import { each, field, invalid } from "./field.ts";

/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 section 5.5: visible characters, blanks, tabs and bytes above ASCII; never a line break. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

export function headerNameFromProto(text: string): HeaderName {
  return isToken(text) ? headerName(text.toLowerCase()) : invalid(`"${text}" is not a header name`);
}

/** Names and values in order. A value that would end its line is a problem: it could smuggle a header of its own. */
export function headersFromProto(headers: Headers | undefined): (readonly [HeaderName, string])[] {
  return each("headers", headers?.headers ?? [], (header) => {
    const name = field("name", () => headerNameFromProto(header.name));
    const value = Buffer.from(header.value).toString("latin1");
    return [
      name,
      VALUE.test(value) ? value : field("value", () => invalid("is not a header value")),
    ] as const;
  });
}
