import { REST_OF_REQUEST, type Pairs, type RawPeer } from "./h2-raw-peer.ts";

/** A request without its method line, then other fields. */
export const BASE: Pairs = [[":method", "GET"], ...REST_OF_REQUEST];
export function without(name: string): Pairs {
  return BASE.filter(([n]) => n !== name);
}
export function replaced(name: string, value: string): Pairs {
  return BASE.map(([n, v]) => (n === name ? [n, value] : [n, v]));
}

/** Requests of one block, END_STREAM included, each of which fails its stream. */
export const MALFORMED: [string, Pairs][] = [
  ["H2-T01 upper-case header name", [...BASE, ["X-A", "1"]]],
  ["H2-T02 connection: close", [...BASE, ["connection", "close"]]],
  ["H2-T03 transfer-encoding: chunked", [...BASE, ["transfer-encoding", "chunked"]]],
  ["keep-alive", [...BASE, ["keep-alive", "timeout=5"]]],
  ["proxy-connection", [...BASE, ["proxy-connection", "close"]]],
  ["upgrade", [...BASE, ["upgrade", "websocket"]]],
  ["H2-T04 te: gzip", [...BASE, ["te", "gzip"]]],
  ["H2-T06 CRLF in value", [...BASE, ["x", "a\r\nb"]]],
  ["H2-T07 LF in value", [...BASE, ["x", "a\nb"]]],
  ["H2-T08 NUL in value", [...BASE, ["x", "a\0b"]]],
  ["H2-T09 CR in value", [...BASE, ["x", "a\rb"]]],
  ["H2-T11 CRLF in name", [...BASE, ["x\r\ny", "a"]]],
  ["H2-T12 space in name", [...BASE, ["x y", "a"]]],
  ["H2-T13 colon in name", [...BASE, ["x:y", "a"]]],
  ["H2-T14 empty name", [...BASE, ["", "a"]]],
  ["H2-T17 :path without slash", replaced(":path", "a")],
  ["H2-T18 :path empty", replaced(":path", "")],
  ["H2-T19 :path with space", replaced(":path", "/a b")],
  ["H2-T20 :path with CRLF", replaced(":path", "/a\r\nb")],
  ["H2-T22 :path absolute URI", replaced(":path", "http://h.test/a")],
  ["H2-T23 :path *", replaced(":path", "*")],
  ["H2-T25 :method with space", replaced(":method", "GE T")],
  ["H2-T27 :method empty", replaced(":method", "")],
  ["H2-T29 :scheme junk", replaced(":scheme", "ht!tp")],
  ["H2-T33 two hosts", [...BASE, ["host", "a"], ["host", "b"]]],
  [":authority with user", replaced(":authority", "u@h.test")],
  [":authority empty", replaced(":authority", "")],
  [":authority with a path", replaced(":authority", "h.test/x")],
  ["H2-T37 duplicate :authority", [...BASE, [":authority", "h.test"]]],
  ["H2-T38 duplicate :path", [...BASE, [":path", "/a"]]],
  ["duplicate :method", [...BASE, [":method", "GET"]]],
  ["duplicate :scheme", [...BASE, [":scheme", "http"]]],
  ["H2-T39 pseudo after regular", [...without(":path"), ["x", "1"], [":path", "/a"]]],
  ["H2-T40 unknown pseudo", [...BASE, [":foo", "1"]]],
  ["H2-T41 :status in request", [...BASE, [":status", "200"]]],
  ["H2-T42 missing :method", without(":method")],
  ["missing :scheme", without(":scheme")],
  ["missing :path", without(":path")],
  ["H2-T45 content-length 5 with END_STREAM", [...BASE, ["content-length", "5"]]],
  ["H2-T46 two different content-lengths", [...BASE, ["content-length", "0"], ["content-length", "1"]]],
  ["H2-T48 content-length +5", [...BASE, ["content-length", "+0"]]],
  ["content-length beyond 2^53", [...BASE, ["content-length", "9007199254740993"]]],
  ["content-length empty", [...BASE, ["content-length", ""]]],
  ["H2-T54 CONNECT with :path and :scheme", replaced(":method", "CONNECT")],
  ["CONNECT without :authority", [[":method", "CONNECT"]]],
  ["extended CONNECT", [...replaced(":method", "CONNECT"), [":protocol", "websocket"]]],
];

/** What follows the head of a request on its stream, and fails it. */
export const BAD_BODIES: [string, (peer: RawPeer) => void, string][] = [
  ["H2-T43 DATA beyond content-length", (p) => p.data(1, "12345", false), "3"],
  ["H2-T44 DATA short of content-length", (p) => p.data(1, "12345", true), "9"],
  [
    "trailers before content-length is reached",
    (p) => {
      p.data(1, "123", false);
      p.headers(1, [["t", "1"]], true);
    },
    "4",
  ],
  ["H2-T50 trailers with pseudo-header", (p) => p.headers(1, [[":path", "/"]], true), ""],
  ["H2-T51 trailers without END_STREAM", (p) => p.headers(1, [["t", "1"]], false), ""],
  ["trailers with connection", (p) => p.headers(1, [["connection", "close"]], true), ""],
];
