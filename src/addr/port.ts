import { parsed, unparsed, type Parsed } from "../parsed.ts";

/** Parses a decimal port, 0 to 65535, without sign, blanks or leading zeros beyond a single "0". */
export function parsePort(text: string): Parsed<number> {
  if (!/^(0|[1-9][0-9]{0,4})$/.test(text)) return unparsed(`"${text}" is not a port number`);
  const port = Number(text);
  return port <= 65535 ? parsed(port) : unparsed(`port ${text} is above 65535`);
}
