import assert from "node:assert/strict";
import type { SeenRequest } from "./recording-app.ts";

/** The request catalogue: exact bytes that follow one good request, and what must become of them. */
export const H = "Host: h.test\r\n";
const CHUNKED = `POST /a HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n`;
const NEXT = `GET /b HTTP/1.1\r\n${H}\r\n`;

/** One request or several that are served, then perhaps a refusal. */
export type Expected =
  | {
      readonly kind: "served";
      readonly bodies: readonly string[];
      readonly check?: (seen: SeenRequest[]) => void;
    }
  | { readonly kind: "refused"; readonly status: number; readonly served: number }
  | { readonly kind: "aborted" };

function served(...bodies: string[]): Expected {
  return { kind: "served", bodies };
}
function servedAs(check: (seen: SeenRequest[]) => void, ...bodies: string[]): Expected {
  return { kind: "served", bodies, check };
}
function refused(status: number, served = 0): Expected {
  return { kind: "refused", status, served };
}
const ABORTED: Expected = { kind: "aborted" };

function post(fields: string, body: string): string {
  return `POST /a HTTP/1.1\r\n${H}${fields}\r\n${body}`;
}
function get(line: string): string {
  return `GET /a HTTP/1.1\r\n${H}${line}\r\n`;
}
function lines(count: number): string {
  return Array.from({ length: count }, (_, i) => `X${i}: v\r\n`).join("");
}
const has = (line: string) => (seen: SeenRequest[]) =>
  assert.ok(seen[0]?.fields.includes(line), String(seen[0]?.fields));
const path = (text: string) => (seen: SeenRequest[]) => assert.equal(seen[0]?.head.path?.value, text);
const oneLength = (text: string) => (seen: SeenRequest[]) =>
  assert.deepEqual(
    seen[0]?.fields.filter((field) => field.startsWith("content-length")),
    [`content-length: ${text}`],
  );

export const CASES: readonly (readonly [string, string, Expected])[] = [
  [
    "H1-F01 length then chunked",
    post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nX"),
    refused(400),
  ],
  [
    "H1-F02 chunked then length, short",
    post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\nGPOST"),
    refused(400),
  ],
  [
    "H1-F03 chunked then length, consistent",
    post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
    refused(400),
  ],
  [
    "H1-F04 equal lengths",
    post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
    servedAs(oneLength("3"), "abc"),
  ],
  ["H1-F05 different lengths", post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), refused(400)],
  ["H1-F06 list of equal lengths", post("Content-Length: 3, 3\r\n", "abc"), refused(400)],
  ["H1-F07 list of different lengths", post("Content-Length: 3, 4\r\n", "abc"), refused(400)],
  ["H1-F08 length with plus", post("Content-Length: +3\r\n", "abc"), refused(400)],
  ["H1-F09 negative length", post("Content-Length: -3\r\n", "abc"), refused(400)],
  ["H1-F10 hexadecimal length", post("Content-Length: 0x3\r\n", "abc"), refused(400)],
  ["H1-F11 length with junk", post("Content-Length: 3z\r\n", "abc"), refused(400)],
  ["H1-F12 empty length", post("Content-Length: \r\n", ""), refused(400)],
  ["H1-F13 length above 2^64", post("Content-Length: 99999999999999999999999\r\n", "abc"), refused(400)],
  ["H1-F14 length 2^64-1", post("Content-Length: 18446744073709551615\r\n", "abc"), refused(400)],
  [
    "H1-F16 lengths in different case",
    post("Content-Length: 3\r\ncontent-length: 0\r\n", "abc"),
    refused(400),
  ],
  ["H1-F18 blank before the colon of a length", post("Content-Length : 3\r\n", "abc"), refused(400)],
  ["H1-F19 underscore is an ordinary field", post("Content_Length: 3\r\n", "abc\r\n\r\n"), refused(400, 1)],
  [
    "H1-F20 leading zero is decimal",
    post("Content-Length: 010\r\n", "0123456789"),
    servedAs(oneLength("10"), "0123456789"),
  ],
  ["H1-F21 GET with a body", get("Content-Length: 3\r\n") + "abc", served("abc")],
  [
    "H1-F22 chunked on two lines",
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    refused(400),
  ],
  ["H1-F23 chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), refused(400)],
  ["H1-F24 chunked not last", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), refused(400)],
  [
    "H1-F25 identity with length",
    post("Transfer-Encoding: identity\r\nContent-Length: 3\r\n", "abc"),
    refused(400),
  ],
  ["H1-F26 gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), refused(501)],
  [
    "H1-F27 xchunked with length",
    post("Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
    refused(400),
  ],
  [
    "H1-F29 blank before the colon of a coding",
    post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
    refused(400),
  ],
  [
    "H1-F30 coding as a folded Host",
    post(" Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
    refused(400),
  ],
  ["H1-F31 coding after a tab", post("Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n"), served("")],
  [
    "H1-F32 coding after a vertical tab",
    post("Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n"),
    refused(400),
  ],
  ["H1-F34 NUL after chunked", post("Transfer-Encoding: chunked\x00\r\n", "0\r\n\r\n"), refused(400)],
  ["H1-F35 quoted chunked", post('Transfer-Encoding: "chunked"\r\n', "0\r\n\r\n"), refused(400)],
  ["H1-F36 chunked in mixed case", post("Transfer-Encoding: cHuNkEd\r\n", "0\r\n\r\n"), served("")],
  ["H1-F37 folded coding", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), refused(400)],
  [
    "H1-F39 coding in HTTP/1.0",
    `POST /a HTTP/1.0\r\n${H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    refused(400),
  ],
  [
    "H1-F40 bare CR hides a coding",
    post("X: y\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
    refused(400),
  ],
  [
    "H1-F41 bare LF before a coding, with length",
    post("X: y\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
    refused(400),
  ],
  ["H1-F42 bare LF throughout", "GET /a HTTP/1.1\nHost: h.test\n\n", servedAs(has("host: h.test"), "")],
  ["H1-F46 unknown coding", post("Transfer-Encoding: blegh\r\n", "1\r\nZ\r\n0\r\n\r\n"), refused(400)],

  ["H1-K01 chunked, then another request", `${CHUNKED}3\r\nabc\r\n0\r\n\r\n${NEXT}`, served("abc", "")],
  ["H1-K02 chunk extension", `${CHUNKED}3;ext=1\r\nabc\r\n0\r\n\r\n`, served("abc")],
  ["H1-K03 CRLF in a quoted extension", `${CHUNKED}3;ext="a\r\n"\r\nabc\r\n0\r\n\r\n`, ABORTED],
  ["H1-K04 bare LF ends an extension", `${CHUNKED}3;ext\nabc\r\n0\r\n\r\n`, ABORTED],
  ["H1-K05 bare LF after a size", `${CHUNKED}3\nabc\r\n0\r\n\r\n`, ABORTED],
  ["H1-K06 bare LF after data", `${CHUNKED}3\r\nabc\n0\r\n\r\n`, ABORTED],
  ["H1-K08 0x size", `${CHUNKED}0x3\r\nabc\r\n0\r\n\r\n`, ABORTED],
  ["H1-K09 plus size", `${CHUNKED}+3\r\nabc\r\n0\r\n\r\n`, ABORTED],
  ["H1-K10 minus size", `${CHUNKED}-3\r\nabc\r\n0\r\n\r\n`, ABORTED],
  ["H1-K11 underscore size", `${CHUNKED}3_0\r\nabc\r\n0\r\n\r\n`, ABORTED],
  ["H1-K12 blank before a size", `${CHUNKED} 3\r\nabc\r\n0\r\n\r\n`, ABORTED],
  ["H1-K13 blank after a size", `${CHUNKED}3 \r\nabc\r\n0\r\n\r\n`, served("abc")],
  ["H1-K14 empty size", `${CHUNKED}\r\n\r\n`, ABORTED],
  ["H1-K15 junk after a size", `${CHUNKED}3zz\r\nabc\r\n0\r\n\r\n`, ABORTED],
  ["H1-K16 size of 17 digits", `${CHUNKED}fffffffffffffffff\r\nabc`, ABORTED],
  ["H1-K17 size 2^64-1", `${CHUNKED}ffffffffffffffff\r\nabc`, ABORTED],
  ["H1-K19 data longer than its size", `${CHUNKED}3\r\nabcd\r\n0\r\n\r\n`, ABORTED],
  [
    "H1-K20 trailer",
    `${CHUNKED}0\r\nX: y\r\n\r\n${NEXT}`,
    servedAs((seen) => assert.deepEqual(seen[0]?.trailers, ["x: y"]), "", ""),
  ],
  [
    "H1-K21 forbidden trailers",
    `${CHUNKED}0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\nHost: evil\r\n\r\n${NEXT}`,
    servedAs(
      (seen) => {
        assert.deepEqual(seen[0]?.trailers, []);
        assert.deepEqual(seen[0]?.fields, ["host: h.test"]);
      },
      "",
      "",
    ),
  ],
  ["H1-K23 bare LF at the end", `${CHUNKED}0\r\n\n`, ABORTED],
  ["H1-K24 bare LF after the last chunk", `${CHUNKED}0\n\r\n`, ABORTED],
  ["H1-K25 CR CR LF at the end", `${CHUNKED}3\r\nabc\r\n0\r\n\r\r\n`, ABORTED],
  ["H1-K26 extension of 17 KB", `${CHUNKED}3;${"a".repeat(17_000)}\r\nabc\r\n0\r\n\r\n`, ABORTED],
  [
    "H1-K27 200 extensions of 200 bytes",
    `${CHUNKED}${`1;${"e".repeat(200)}\r\na\r\n`.repeat(200)}0\r\n\r\n`,
    ABORTED,
  ],
  ["H1-K28 150 trailers", `${CHUNKED}0\r\n${lines(150)}\r\n`, ABORTED],
  ["H1-K29 trailer of 20 KB", `${CHUNKED}0\r\nT: ${"v".repeat(20_000)}\r\n\r\n`, ABORTED],
  ["H1-K32 trailer without a name", `${CHUNKED}3\r\nabc\r\n0\r\n: v\r\n\r\n`, ABORTED],

  ["H1-G01 NUL in a value", get("X: a\x00b\r\n"), refused(400)],
  ["H1-G02 control character in a value", get("X: a\x01b\r\n"), refused(400)],
  ["H1-G03 DEL in a value", get("X: a\x7fb\r\n"), refused(400)],
  ["H1-G04 obs-text in a value", get("X: caf\xe9\r\n"), servedAs(has("x: caf\xe9"), "")],
  ["H1-G05 folded value", get("X: a\r\n b\r\n"), refused(400)],
  ["H1-G06 blank before the first field", `GET /a HTTP/1.1\r\n X: a\r\n${H}\r\n`, refused(400)],
  ["H1-G07 blank in a name", get("X Y: a\r\n"), refused(400)],
  ["H1-G08 empty name", get(": a\r\n"), refused(400)],
  ["H1-G09 separator in a name", get("X(: a\r\n"), refused(400)],
  ["H1-G10 high byte in a name", get("\xefoo: a\r\n"), refused(400)],
  ["H1-G11 line without a colon", get("NoColon\r\n"), refused(400)],
  ["H1-G12 empty value", get("X:\r\n"), servedAs(has("x: "), "")],
  ["H1-G15 CR CR LF", get("X: a\r\r\n"), refused(400)],
  ["H1-G16 99 lines", get(lines(98)), served("")],
  ["H1-G17 121 lines", get(lines(120)), refused(431)],
  ["H1-G18 2,101 lines", get(lines(2_100)), refused(431)],
  ["H1-G19 value of 15 KB", get(`X: ${"v".repeat(15_000)}\r\n`), served("")],
  ["H1-G20 value of 17 KB", get(`X: ${"v".repeat(17_000)}\r\n`), served("")],
  ["H1-G21 value of 70 KB", get(`X: ${"v".repeat(70_000)}\r\n`), served("")],
  ["H1-G22 value of 450 KB", get(`X: ${"v".repeat(450_000)}\r\n`), refused(431)],
  ["H1-G23 target of 9 KB", `GET /${"a".repeat(9_000)} HTTP/1.1\r\n${H}\r\n`, served("")],
  ["H1-G24 target of 66 KB", `GET /${"a".repeat(66_000)} HTTP/1.1\r\n${H}\r\n`, refused(414)],
  ["H1-G25 name of 70 KB", get(`${"N".repeat(70_000)}: v\r\n`), refused(431)],

  ["H1-R01 two spaces", `GET  /a HTTP/1.1\r\n${H}\r\n`, refused(400)],
  ["H1-R02 tabs", `GET\t/a\tHTTP/1.1\r\n${H}\r\n`, refused(400)],
  ["H1-R03 blank after the version", `GET /a HTTP/1.1 \r\n${H}\r\n`, refused(400)],
  ["H1-R04 blank in the target", `GET /a b HTTP/1.1\r\n${H}\r\n`, refused(400)],
  ["H1-R05 version 1.2", `GET /a HTTP/1.2\r\n${H}\r\n`, refused(400)],
  ["H1-R06 version 2.0", `GET /a HTTP/2.0\r\n${H}\r\n`, refused(400)],
  ["H1-R07 version 0.9", `GET /a HTTP/0.9\r\n${H}\r\n`, refused(400)],
  ["H1-R08 no version", "GET /a\r\n\r\n", refused(400)],
  ["H1-R09 version in lower case", `GET /a http/1.1\r\n${H}\r\n`, refused(400)],
  ["H1-R10 method with a quote", `G"T /a HTTP/1.1\r\n${H}\r\n`, refused(400)],
  [
    "H1-R11 method in lower case",
    `get /a HTTP/1.1\r\n${H}\r\n`,
    servedAs((seen) => assert.equal(seen[0]?.head.method.value, "get"), ""),
  ],
  [
    "H1-R12 unknown method",
    `FOO /a HTTP/1.1\r\n${H}\r\n`,
    servedAs((seen) => assert.equal(seen[0]?.head.method.value, "FOO"), ""),
  ],
  ["H1-R13 NUL in the target", `GET /a\x00b HTTP/1.1\r\n${H}\r\n`, refused(400)],
  ["H1-R14 high byte in the target", `GET /caf\xe9 HTTP/1.1\r\n${H}\r\n`, refused(400)],
  ["H1-R15 fragment", `GET /a#frag HTTP/1.1\r\n${H}\r\n`, servedAs(path("/a"), "")],
  ["H1-R16 target without slash", `GET admin HTTP/1.1\r\n${H}\r\n`, refused(400)],
  ["H1-R17 asterisk with GET", `GET * HTTP/1.1\r\n${H}\r\n`, refused(400)],
  ["H1-R18 asterisk with OPTIONS", `OPTIONS * HTTP/1.1\r\n${H}\r\n`, servedAs(path("*"), "")],
  [
    "H1-R19 absolute-form",
    `GET http://h.test/a HTTP/1.1\r\n${H}\r\n`,
    servedAs((seen) => {
      assert.equal(seen[0]?.head.absoluteForm, true);
      assert.equal(seen[0]?.head.authority?.value, "h.test");
      assert.equal(seen[0]?.head.path?.value, "/a");
    }, ""),
  ],
  [
    "H1-R20 absolute-form that differs from Host",
    `GET http://other.test/a HTTP/1.1\r\n${H}\r\n`,
    servedAs((seen) => {
      assert.equal(seen[0]?.head.authority?.value, "other.test");
      assert.deepEqual(seen[0]?.fields, ["host: other.test"]);
    }, ""),
  ],
  ["H1-R22 HTTP/1.1 without Host", "GET /a HTTP/1.1\r\n\r\n", served("")],
  ["H1-R24 two Hosts", "GET /a HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", refused(400)],
  ["H1-R26 empty Host", "GET /a HTTP/1.1\r\nHost: \r\n\r\n", served("")],
  ["H1-R27 list of Hosts", "GET /a HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n", refused(400)],
  ["H1-R28 Host with a slash", "GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n", refused(400)],
  ["H1-R29 Host with a blank", "GET /a HTTP/1.1\r\nHost: a b\r\n\r\n", refused(400)],
  ["H1-R31 Host with a bad port", "GET /a HTTP/1.1\r\nHost: a.test:99999\r\n\r\n", refused(400)],
  ["H1-R32 CONNECT without port", `CONNECT h.test HTTP/1.1\r\n${H}\r\n`, refused(400)],
  ["H1-R33 CONNECT in origin-form", `CONNECT / HTTP/1.1\r\n${H}\r\n`, refused(400)],
  ["H1-R34 CONNECT in absolute-form", `CONNECT http://h.test:80/ HTTP/1.1\r\n${H}\r\n`, refused(400)],
  ["CONNECT with a fragment", `CONNECT h.test:80# HTTP/1.1\r\n${H}\r\n`, refused(400)],
  ["OPTIONS * with a fragment", `OPTIONS *#a HTTP/1.1\r\n${H}\r\n`, refused(400)],
  ["UP-08 CONNECT in HTTP/1.0", `CONNECT h.test:80 HTTP/1.0\r\n${H}\r\n`, refused(400)],
  ["H1-R35 one leading CRLF", `\r\n${get("")}`, served("")],
  ["H1-R36 20 leading CRLF", `${"\r\n".repeat(20)}${get("")}`, served("")],
  ["H1-R36 more than 1 KiB of leading CRLF", `${"\r\n".repeat(600)}${get("")}`, refused(400)],
  ["H1-R37 dot segments", `GET /a/../../etc HTTP/1.1\r\n${H}\r\n`, servedAs(path("/a/../../etc"), "")],
  ["H1-R38 double slash", `GET //evil.test/x HTTP/1.1\r\n${H}\r\n`, servedAs(path("//evil.test/x"), "")],
  ["H1-R42 HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", refused(400)],

  ["H1-P01 three at once", NEXT.repeat(3), served("", "", "")],
  ["H1-P02 POST, then GET", `${post("Content-Length: 3\r\n", "abc")}${NEXT}`, served("abc", "")],
  ["H1-P05 garbage after a good request", `${NEXT}GARBAGE\r\n\r\n`, refused(400, 1)],
  [
    "H1-P09 unknown expectation",
    post("Expect: bogus\r\nContent-Length: 3\r\n", "abc"),
    servedAs(has("expect: bogus"), "abc"),
  ],
  ["H1-P13 TRACE with a body", `TRACE /a HTTP/1.1\r\n${H}Content-Length: 3\r\n\r\nabc`, served("abc")],
  [
    "JS-01 names of Object.prototype",
    get("__proto__: a\r\nConstructor: b\r\n"),
    servedAs((seen) => {
      has("__proto__: a")(seen);
      has("constructor: b")(seen);
    }, ""),
  ],
];
