import { readDuration } from "../time/duration.ts";
import { parseCidr, type Cidr } from "../addr/cidr.ts";
import { parseDnsName, type DnsName } from "../addr/dns-name.ts";
import { parseIp, type Ip } from "../addr/ip.ts";
import { parseAddr, type Addr } from "../addr/name-addr.ts";
import { parsePortRanges, type PortRanges } from "../addr/port-ranges.ts";
import { parseSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { parseId, type Id } from "../identity/id.ts";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import type { ForwardConfig } from "./config.ts";

/**
 * How the text of a variable is read. `expected` completes the sentence "expected ...".
 *
 * Source of the grammars: linkerd2-proxy, linkerd/app/src/env.rs and env/types.rs.
 */
export interface Grammar<T> {
  readonly expected: string;
  readonly parse: (text: string) => Parsed<T>;
}

const UINT32_MAX = 2 ** 32 - 1;

/** Exactly `true` or `false`. */
export const BOOL: Grammar<boolean> = {
  expected: "true or false",
  parse: (text) =>
    text === "true" || text === "false" ? parsed(text === "true") : unparsed("not a boolean"),
};

/** A decimal integer, optionally with a leading plus, up to `max`. */
function integer(max: number): (text: string) => Parsed<number> {
  return (text) => {
    if (!/^\+?[0-9]+$/.test(text)) return unparsed("not an integer");
    const value = Number(text);
    return value <= max ? parsed(value) : unparsed(`not an integer of at most ${max}`);
  };
}

export const UINT32: Grammar<number> = {
  expected: "an integer from 0 to 4294967295",
  parse: integer(UINT32_MAX),
};

/** A count or number of bytes. Bounded by what a number holds exactly. */
export const SIZE: Grammar<number> = {
  expected: "an integer, 0 or more",
  parse: integer(Number.MAX_SAFE_INTEGER),
};

export const FLOAT: Grammar<number> = {
  expected: "a number such as 0.1",
  parse: (text) =>
    /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(text)
      ? parsed(Number(text))
      : unparsed("not a float"),
};

/** Milliseconds from an integer with a unit; `0` alone needs none. */
export const DURATION: Grammar<number> = {
  expected: "an integer directly followed by ms, s, m, h or d, such as 10s",
  parse: readDuration,
};

/** As `DURATION`, but empty text means that there is no limit. */
export const DURATION_OR_NONE: Grammar<number | undefined> = {
  expected: `${DURATION.expected}, or nothing for no limit`,
  parse: (text) => (text === "" ? parsed(undefined) : DURATION.parse(text)),
};

export const SOCKET_ADDR: Grammar<SocketAddr> = {
  expected: "IP:PORT, such as 127.0.0.1:4140 or [::1]:4140",
  parse: parseSocketAddr,
};

/** One or two socket addresses. */
export const SOCKET_ADDRS: Grammar<readonly SocketAddr[]> = {
  expected: "one or two of IP:PORT, joined by a comma",
  parse: (text) => {
    const parts = text.split(",");
    if (parts.length > 2) return unparsed("only two addresses are supported");
    return each(parts, parseSocketAddr);
  },
};

export const ADDR: Grammar<Addr> = {
  expected: "NAME:PORT or IP:PORT, such as linkerd-policy.linkerd.svc.cluster.local.:8090",
  parse: (text) => parseAddr(text),
};

export const DNS_NAME: Grammar<DnsName> = {
  expected: "a DNS name",
  parse: (text) => {
    const name = parseDnsName(text);
    return name.ok ? name : unparsed("not a valid identity name");
  },
};

export const IDENTITY: Grammar<Id> = {
  expected: "a DNS name without trailing dot, or a URI",
  parse: (text) => {
    const id = parseId(text);
    return id.ok ? id : unparsed("not a valid identity name");
  },
};

/** Addresses without blanks, prefixes or empty items: strict, because a lost item would open or shut a door. */
export const IP_SET: Grammar<readonly Ip[]> = {
  expected: "IP addresses joined by commas, without blanks",
  parse: (text) => each(text.split(","), parseIp),
};

export const NETWORKS: Grammar<readonly Cidr[]> = {
  expected: "networks such as 10.0.0.0/8 joined by commas",
  parse: (text) => each(items(text), parseCidr),
};

/** Suffixes as given; "." matches every name. */
export const DNS_SUFFIXES: Grammar<readonly string[]> = {
  expected: "DNS suffixes such as svc.cluster.local. joined by commas, or . for every name",
  parse: (text) =>
    each(items(text), (item) => {
      if (item === ".") return parsed(item);
      const name = parseDnsName(item);
      return name.ok ? parsed<string>(name.value) : unparsed(`"${item}" is not a valid DNS domain suffix`);
    }),
};

export const PORT_RANGES: Grammar<PortRanges> = {
  expected: "ports or ranges such as 25,4000-4100 joined by commas",
  parse: parsePortRanges,
};

/** Any text, passed on byte for byte. */
export const TEXT: Grammar<string> = { expected: "text", parse: parsed };

export const NON_EMPTY_TEXT: Grammar<string> = {
  expected: "text that is not empty",
  parse: (text) => (text.trim() === "" ? unparsed("it is empty") : parsed(text)),
};

/** One of a few words, exactly as written. */
export function oneOf<const Word extends string>(words: readonly Word[]): Grammar<Word> {
  return {
    expected: `one of ${words.join(", ")}`,
    parse: (text) => {
      const word = words.find((w) => w === text);
      return word === undefined ? unparsed("not one of the words it may be") : parsed(word);
    },
  };
}

/** What `sockaddr_un` holds besides its terminator. */
const SOCKET_PATH_MAX_BYTES = 107;

/** The path of a Unix socket; `unix:` before it is cut off, and of several slashes at its start one stays. */
export const SOCKET_PATH: Grammar<string> = {
  expected: "the path of a Unix socket, such as unix:///run/spire/agent/api.sock",
  parse: (text) => {
    const path = text.replace(/^unix:/, "").replace(/^\/+/, "/");
    if (/^[a-z][a-z0-9+.-]*:/i.test(path)) return unparsed("not a Unix socket");
    if (path === "" || path.endsWith("/")) return unparsed("not the path of a socket");
    const bytes = Buffer.byteLength(path);
    return bytes <= SOCKET_PATH_MAX_BYTES
      ? parsed(path)
      : unparsed(`a path of ${bytes} bytes, more than the ${SOCKET_PATH_MAX_BYTES} that a socket may have`);
  },
};

/** Empty for off, `unsafe` in any case for on: the word is the warning. */
export const UNSAFE: Grammar<boolean> = {
  expected: "nothing, or unsafe",
  parse: (text) => {
    if (text === "") return parsed(false);
    return text.toLowerCase() === "unsafe" ? parsed(true) : unparsed("not the word unsafe");
  },
};

/** `LISTEN=TARGET,...`: a socket address to listen on, and a name or address that it leads to. */
export const FORWARDS: Grammar<readonly ForwardConfig[]> = {
  expected: "IP:PORT=NAME:PORT joined by commas, such as 127.0.0.1:15432=db.shop.svc.cluster.local:5432",
  parse: (text) => each(items(text), parseForward),
};

function parseForward(text: string): Parsed<ForwardConfig> {
  const equals = text.indexOf("=");
  if (equals < 0) return unparsed(`"${text}" has no =`);
  const listen = parseSocketAddr(text.slice(0, equals).trim());
  if (!listen.ok) return listen;
  const target = parseAddr(text.slice(equals + 1).trim());
  return target.ok ? parsed({ listen: listen.value, target: target.value }) : target;
}

function items(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** All values, or the problem of the first item that has one. */
function each<T>(texts: readonly string[], parse: (text: string) => Parsed<T>): Parsed<readonly T[]> {
  const values: T[] = [];
  for (const text of texts) {
    const value = parse(text);
    if (!value.ok) return value;
    values.push(value.value);
  }
  return parsed(values);
}
