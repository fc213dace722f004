import assert from "node:assert/strict";
import type { HeaderField } from "../../../src/wire/header-field.ts";
import { RequestParser, ResponseParser } from "../../../src/wire/http1/parser.ts";
import { operation, type Operation } from "../operation.ts";
import { Odometer } from "./odometer.ts";
import { lines, REQUEST_ID } from "./sample-fields.ts";

const REQUEST = [
  "GET /api/products/42?currency=EUR HTTP/1.1",
  "Host: web.shop.svc.cluster.local:8080",
  "User-Agent: curl/8.9.1",
  "Accept: application/json",
  "Accept-Encoding: gzip, deflate, br",
  "Connection: keep-alive",
  "Cookie: session=6f1ed002ab5595859014ebf0951522d9",
  `X-Request-Id: ${REQUEST_ID}`,
];

const LARGE_REQUEST = [
  "GET /api/products/42?currency=EUR HTTP/1.1",
  "Host: web.shop.svc.cluster.local:8080",
  ...Array.from({ length: 39 }, (_, i) => `X-Baggage-${i + 10}: value of field ${REQUEST_ID}`),
];

const RESPONSE = [
  "HTTP/1.1 200 OK",
  "Content-Type: application/json; charset=utf-8",
  "Content-Length: 1024",
  "Date: Tue, 24 Nov 2026 10:00:00 GMT",
  "Cache-Control: no-store",
  "Server: shop",
];

/** Heads as a keep-alive connection gets them, one parser for all of them. */
export function http1Parse(): readonly Operation[] {
  return [
    parse("HTTP/1 parse: request head, every line seen before", new RequestParser(), REQUEST, []),
    parse("HTTP/1 parse: request head, one new line", new RequestParser(), REQUEST, [REQUEST.length - 1]),
    parse(
      "HTTP/1 parse: request head of 40 fields, every line seen before",
      new RequestParser(),
      LARGE_REQUEST,
      [],
    ),
    parse(
      "HTTP/1 parse: request head of 40 fields, 39 new lines",
      new RequestParser(),
      LARGE_REQUEST,
      [...LARGE_REQUEST.keys()].slice(2),
    ),
    parse("HTTP/1 parse: response head, every line seen before", new ResponseParser(), RESPONSE, []),
  ];
}

interface Parser {
  readonly fields: HeaderField[];
  reset(): void;
  parse(buffer: Buffer, start: number, end: number): number;
}

/** @param changing numbers of the lines that are new in each head. */
function parse(
  name: string,
  parser: Parser,
  head: readonly string[],
  changing: readonly number[],
): Operation {
  const buffer = Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1");
  const odometers = changing.map((line) => new Odometer(buffer, head.slice(0, line + 1).join("\r\n").length));
  return operation(
    name,
    () => {
      for (let i = 0; i < odometers.length; i++) odometers[i]?.turn();
      parser.reset();
      return parser.parse(buffer, 0, buffer.length);
    },
    (end) => {
      assert.equal(end, buffer.length);
      const sent = buffer.toString("latin1").split("\r\n").slice(1, -2);
      assert.deepEqual(
        lines(parser.fields),
        sent.map((line) => line.replace(/^[^:]+/, (text) => text.toLowerCase())),
      );
    },
  );
}
