/**
 * Our HTTP/1 request parser beside Node's (llhttp, strict), on the same bytes. What ours takes, Node's must take and
 * understand in the same way; ours may refuse more. The exceptions are listed with their reasons.
 */
import assert from "node:assert/strict";
import { createServer, METHODS, type IncomingMessage } from "node:http";
import { duplexPair } from "node:stream";
import * as fc from "fast-check";
import type { HeaderField } from "../../../src/wire/header-field.ts";
import { ChunkedDecoder, ChunkStep } from "../../../src/wire/http1/chunked.ts";
import { Codings } from "../../../src/wire/http1/framing.ts";
import { INCOMPLETE, MALFORMED, RequestParser } from "../../../src/wire/http1/parser.ts";
import { arbitraryPieces } from "../../support/h1-conversation.ts";
import { arbitraryHead } from "../../support/h1-messages.ts";
import type { FuzzTarget } from "../target.ts";
import { H1_WORDS } from "./http1.ts";

interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly string[];
  readonly length: number;
  readonly chunked: boolean;
  readonly isAbsolute: boolean;
  body: string;
  /** Undefined while the body is not complete. */
  trailers: readonly string[] | undefined;
}

interface Reading {
  readonly requests: readonly SeenRequest[];
  /** Why reading ended before the bytes did; empty if it did not, "tunnel" where other bytes begin. */
  readonly end: string;
}

/** Reads requests until one is refused, closes the connection, opens a tunnel, or the bytes end. */
export function readByOurs(bytes: Buffer): Reading {
  const requests: SeenRequest[] = [];
  // One for all requests of the connection, as in the server: it expects each to resemble the one before.
  const parser = new RequestParser();
  let at = 0;
  while (at < bytes.length) {
    parser.reset();
    const next = parser.parse(bytes, at, bytes.length);
    if (next === INCOMPLETE) return { requests, end: "" };
    if (next === MALFORMED) return { requests, end: parser.problem.problem };
    at = next;
    const { line, fields, contentLength, codings, connection, wantsTunnel } = parser;
    const request: SeenRequest = {
      method: line.method.value,
      target: line.path?.value ?? line.authority?.value ?? "",
      fields: fields.filter((f) => f.name.text !== "content-length").map(textOf),
      length: Math.max(contentLength, 0),
      chunked: codings === Codings.chunked,
      isAbsolute: line.absoluteForm,
      body: "",
      trailers: undefined,
    };
    requests.push(request);
    if (codings === Codings.chunked) {
      const decoder = new ChunkedDecoder();
      for (;;) {
        const step = decoder.next(bytes, at, bytes.length);
        at = decoder.position;
        if (step === ChunkStep.data)
          request.body += bytes.toString("latin1", decoder.dataStart, decoder.dataEnd);
        else if (step === ChunkStep.malformed) return { requests, end: decoder.problem };
        else if (step === ChunkStep.more) return { requests, end: "" };
        else break;
      }
      request.trailers = decoder.trailers.map(textOf);
    } else {
      const to = Math.min(bytes.length, at + request.length);
      request.body = bytes.toString("latin1", at, to);
      if (to - at === request.length) request.trailers = [];
      at = to;
    }
    if (wantsTunnel) return { requests, end: "tunnel" };
    const persists = line.version === 11 ? !connection.close : connection.keepAlive;
    if (!persists) return { requests, end: "close" };
  }
  return { requests, end: "" };
}

function textOf(field: HeaderField): string {
  return `${field.name.text}: ${field.value}`;
}

/** Turns of the event loop after which a connection that nobody closed has nothing more to say. */
const TURNS_MAX = 20;

/** The same by Node's server, over a pair of streams in memory. */
export async function readByNode(bytes: Buffer): Promise<Reading> {
  const requests: SeenRequest[] = [];
  let end = "";
  const see = (request: IncomingMessage): void => {
    const fields: string[] = [];
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      const name = (request.rawHeaders[i] ?? "").toLowerCase();
      if (name !== "content-length" && name !== "transfer-encoding")
        fields.push(`${name}: ${request.rawHeaders[i + 1] ?? ""}`);
    }
    const seen: SeenRequest = {
      method: request.method ?? "",
      target: request.url ?? "",
      fields,
      length: Number(request.headers["content-length"] ?? 0),
      chunked: request.headers["transfer-encoding"] !== undefined,
      isAbsolute: /^[a-z][a-z0-9+.-]*:/i.test(request.url ?? ""),
      body: "",
      trailers: undefined,
    };
    requests.push(seen);
    request.setEncoding("latin1").on("data", (text: string) => (seen.body += text));
    request.on("end", () => {
      seen.trailers = Object.entries(request.trailers).map(([name, value]) => `${name}: ${value}`);
    });
    request.on("error", () => {});
  };
  const server = createServer({
    requireHostHeader: false,
    maxHeaderSize: 1 << 20,
    insecureHTTPParser: false,
  });
  server.maxHeadersCount = 0;
  for (const event of ["request", "checkContinue", "checkExpectation"] as const)
    server.on(event, (request: IncomingMessage, response) => {
      see(request);
      response.end();
    });
  const [near, far] = duplexPair();
  for (const event of ["upgrade", "connect"] as const)
    server.on(event, (request: IncomingMessage) => {
      see(request);
      const seen = requests.at(-1);
      if (seen !== undefined) seen.trailers = [];
      end = "tunnel";
    });
  // The connection is left open for a moment: what was complete before the error is still on its way.
  server.on("clientError", (error: NodeJS.ErrnoException) => {
    end ||= error.code ?? error.message;
  });
  near.on("error", () => {});
  far.on("error", () => {}).resume();
  server.emit("connection", near);
  far.end(bytes);
  for (let turns = 0; turns < TURNS_MAX && !near.destroyed; turns++)
    await new Promise((resolve) => setImmediate(resolve));
  near.destroy();
  far.destroy();
  return { requests, end };
}

/**
 * Where ours takes what Node's refuses, and why that is right.
 */
function isExpected(code: string, text: string, ours: SeenRequest): boolean {
  switch (code) {
    case "HPE_INVALID_METHOD":
      // Ours takes every method that is a token (RFC 9110 section 9.1), Node's those that it knows.
      return !METHODS.includes(ours.method);
    case "HPE_INVALID_URL":
      // Schemes may have digits (RFC 3986 section 3.1); Node's have none.
      return ours.isAbsolute;
    case "HPE_CR_EXPECTED":
    case "HPE_INVALID_HEADER_TOKEN":
    case "HPE_LF_EXPECTED":
    case "HPE_INVALID_CONSTANT":
    case "HPE_INVALID_VERSION":
      return hasBareLineFeed(text);
    case "HPE_STRICT":
    case "HPE_INVALID_CHUNK_SIZE":
      // An extension without a name, and blanks without an extension: dropped on the way, as in hyper.
      return hasBareLineFeed(text) || (ours.chunked && /[0-9a-f][ \t;][^\n]*\r\n/i.test(text));
    case "HPE_INVALID_TRANSFER_ENCODING":
    case "HPE_INVALID_CONTENT_LENGTH":
      return ours.chunked && hasFramingTrailer(text);
    case "HPE_UNEXPECTED_CONTENT_LENGTH":
      // A length may be said twice if it is the same (RFC 9110 section 8.6), and is sent on once. Beside a coding: never.
      if (ours.chunked) return hasFramingTrailer(text);
      return /content-length:[^]*content-length:/i.test(text);
    default:
      return false;
  }
}

/** It ends a line of a head: RFC 9112 section 2.2 allows that, and it is sent on as CRLF. */
function hasBareLineFeed(text: string): boolean {
  return /(?:^|[^\r])\n/.test(text);
}

/** Fields about lengths are no trailers (RFC 9110 section 6.5.1): ours drops them there, Node's judges them. */
function hasFramingTrailer(text: string): boolean {
  return /\r\n0+[^\n]*\r\n(?:[^\r\n]+\r\n)*(?:content-length|transfer-encoding):/i.test(text);
}

export const h1Node: FuzzTarget = {
  name: "h1-beside-node",
  dictionary: H1_WORDS,
  seeds: (seed) => [
    ...fc.sample(arbitraryHead, { seed, numRuns: 200 }).map((text) => [Buffer.from(text, "latin1")]),
    ...fc
      .sample(arbitraryPieces, { seed, numRuns: 200 })
      .map((pieces) =>
        pieces
          .filter((piece) => piece !== "FIN" && piece !== "RST")
          .map((piece) => Buffer.from(piece, "latin1")),
      ),
  ],
  run: async (input) => {
    const bytes = Buffer.concat(input);
    const text = bytes.toString("latin1");
    const ours = readByOurs(bytes);
    const node = await readByNode(bytes);
    for (const [i, request] of ours.requests.entries()) {
      const other = node.requests[i];
      if (other === undefined) {
        if (node.end === "HPE_INVALID_EOF_STATE" && request.trailers === undefined) break;
        if (isExpected(node.end, text, request)) return [`Node refuses: ${node.end}`];
        assert.fail(`ours took ${JSON.stringify(request)}, Node ended with ${JSON.stringify(node.end)}`);
      }
      compare(request, other, bytes);
      // Where Node gave up inside of the body, there is nothing more to compare.
      if (request.trailers !== undefined && other.trailers === undefined) {
        if (isExpected(node.end, text, request)) return [`Node refuses: ${node.end}`];
        assert.fail(`ours completed ${JSON.stringify(request)}, Node ended with ${JSON.stringify(node.end)}`);
      }
    }
    return [`ours: ${ours.end}`, `Node: ${node.end}`, `${ours.requests.length} of ${node.requests.length}`];
  },
};

function compare(ours: SeenRequest, node: SeenRequest, bytes: Buffer): void {
  assert.equal(ours.method, node.method);
  assert.deepEqual([ours.length, ours.chunked], [node.length, node.chunked]);
  // Ours cuts off fragments and takes absolute targets apart; else the target stays as it is.
  if (node.target.startsWith("/") && !node.target.includes("#")) assert.equal(ours.target, node.target);
  assert.deepEqual(ours.fields, node.fields, bytes.toString("latin1"));
  if (ours.trailers !== undefined && node.trailers !== undefined) {
    assert.equal(ours.body, node.body);
    // Fields that may not be trailers are dropped by ours.
    for (const trailer of ours.trailers) {
      const name = trailer.slice(0, trailer.indexOf(":"));
      assert.ok(
        node.trailers.some((other) => other.startsWith(`${name}:`)),
        trailer,
      );
    }
  }
}
