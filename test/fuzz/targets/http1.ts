/** The HTTP/1 codecs and drivers. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { RequestParser, ResponseParser } from "../../../src/wire/http1/parser.ts";
import { H1_CHUNK_EXTENSION_BYTES, H1_TRAILER_LINES } from "../../../src/wire/limits.ts";
import { arbitraryAnswers, arbitraryPieces, converse } from "../../support/h1-conversation.ts";
import { arbitraryChunked, arbitraryHead, decodeWith, parseWith, strip } from "../../support/h1-messages.ts";
import { words, type FuzzTarget, type Input } from "../target.ts";

export const H1_WORDS = words(
  ...[
    "GET ",
    "POST ",
    "CONNECT ",
    "OPTIONS * ",
    "HEAD ",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "HTTP/1.1 200 OK\r\n",
  ],
  ...[
    "HTTP/1.1 100 \r\n",
    "HTTP/1.1 304 \r\n",
    "Host: h\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 03\r\n",
  ],
  ...["Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Connection: close\r\n"],
  ...[
    "Connection: upgrade\r\nUpgrade: x\r\n",
    "Expect: 100-continue\r\n",
    "TE: trailers\r\n",
    "X: y\r\n",
    " fold\r\n",
  ],
  ...[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\0",
    "\x7f",
    "\xff",
    "\t",
    ": ",
    ",",
    ";",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
    "ffffffff\r\n",
  ],
  ...["http://h/", "h:1", "[::1]", "%00", "#", "?", "@", "FIN", "RST"],
);

/** Samples of an arbitrary as whole inputs. */
function samples(arbitrary: fc.Arbitrary<string>, seed: number): Input[] {
  return fc.sample(arbitrary, { seed, numRuns: 200 }).map((text) => [Buffer.from(text, "latin1")]);
}

/** The text of an input, and where it is cut. */
function textAndCuts(input: Input): { readonly text: string; readonly cuts: readonly number[] } {
  const cuts: number[] = [];
  let at = 0;
  for (const segment of input) cuts.push((at += segment.length));
  return { text: Buffer.concat(input).toString("latin1"), cuts };
}

/** Whatever the cuts, the same answer; and a byte at a time, too. */
function sameForEveryCut(input: Input, read: (text: string, cuts: readonly number[]) => unknown): unknown {
  const { text, cuts } = textAndCuts(input);
  const whole = read(text, []);
  assert.deepEqual(read(text, cuts), whole, "cut as given");
  assert.deepEqual(
    read(
      text,
      Array.from({ length: text.length }, (_, i) => i),
    ),
    whole,
    "cut into bytes",
  );
  return whole;
}

function headTarget(name: string, create: () => RequestParser | ResponseParser): FuzzTarget {
  return {
    name,
    dictionary: H1_WORDS,
    seeds: (seed) => samples(arbitraryHead, seed),
    run: (input) => {
      const result = sameForEveryCut(input, (text, cuts) => strip(parseWith(create(), text, cuts)));
      return [featureOf(result)];
    },
  };
}

/** Problems by their text, heads by what decided about them. */
function featureOf(result: unknown): string {
  if (typeof result !== "object" || result === null) return String(result);
  if ("problem" in result) return `problem ${JSON.stringify(result.problem)}`;
  const head: Record<string, unknown> = { ...result };
  const { version, status } = { version: 0, status: 0, ...(head["line"] as object) };
  const connection = JSON.stringify(head["connection"] ?? []).slice(0, 60);
  const decisive = [head["codings"], head["hopByHop"], connection, head["upgrade"] === undefined].join(" ");
  return `head ${version} ${`${status}`.slice(0, 1)} ${decisive}`;
}

export const h1Request = headTarget("h1-request", () => new RequestParser());
export const h1Lenient = headTarget(
  "h1-request-lenient",
  () => new RequestParser({ bothLengths: true, anyHost: true }),
);
export const h1Response = headTarget("h1-response", () => new ResponseParser());

export const h1Chunked: FuzzTarget = {
  name: "h1-chunked",
  dictionary: H1_WORDS,
  seeds: (seed) => samples(arbitraryChunked, seed),
  run: (input) => {
    const result = sameForEveryCut(input, decodeWith);
    if (typeof result !== "object" || result === null) return [];
    const { data, problem, trailers, end } = {
      ...{ data: "", problem: undefined, trailers: [], end: undefined },
      ...result,
    };
    const bytes = input.reduce((sum, segment) => sum + segment.length, 0);
    if (bytes < H1_CHUNK_EXTENSION_BYTES) {
      assert.deepEqual({ data, end, isBad: problem !== undefined }, readChunked(textAndCuts(input).text));
    }
    return [`${String(problem)} ${data === "" ? "empty" : "data"} ${trailers.length > 0 ? "trailers" : ""}`];
  },
};

/** A chunked body by regular expressions, slow and plain: its content, and where it ends, if it does. */
function readChunked(text: string): { data: string; end: number | undefined; isBad: boolean } {
  let data = "";
  let at = 0;
  const next = (expression: RegExp): RegExpExecArray | null => {
    expression.lastIndex = at;
    const found = expression.exec(text);
    if (found !== null) at = expression.lastIndex;
    return found;
  };
  const stuck = (mayFollow: RegExp) => {
    // Whether more bytes could still make it right.
    mayFollow.lastIndex = at;
    const rest = mayFollow.exec(text);
    return { data, end: undefined, isBad: rest === null };
  };
  for (;;) {
    const size = next(/([0-9a-f]{1,32})(?:[ \t]+(?=[;\r])|)(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n/iy);
    // A number that is too large is so before its line is whole.
    const digits = Number.parseInt(/[0-9a-f]*/iy.exec(size === null ? text.slice(at) : "")?.[0] ?? "", 16);
    if (digits > Number.MAX_SAFE_INTEGER) return { data, end: undefined, isBad: true };
    if (size === null) return stuck(/(?:|[0-9a-f]{1,32}(?:[ \t]*|[ \t]*;[\t\x20-\x7e\x80-\xff]*)\r?)$/iy);
    const bytes = Number.parseInt(size[1] ?? "", 16);
    if (bytes > Number.MAX_SAFE_INTEGER) return { data, end: undefined, isBad: true };
    if (bytes === 0) break;
    data += text.slice(at, at + bytes);
    if (at + bytes > text.length) return { data, end: undefined, isBad: false };
    at += bytes;
    if (next(/\r\n/y) === null) return stuck(/\r?$/y);
  }
  for (let lines = 0; next(/\r\n/y) === null; lines++) {
    const line = next(/([!#$%&'*+\-.^_`|~0-9a-z]+):[\t\x20-\x7e\x80-\xff]*\r\n/iy);
    if (line !== null && lines < H1_TRAILER_LINES) continue;
    // A trailer is judged when its line is whole: until then anything may come.
    return { data, end: undefined, isBad: text.includes("\n", at) };
  }
  return { data, end: at, isBad: false };
}

/** Segments are what client and origin say in turns. */
export const h1Drivers: FuzzTarget = {
  name: "h1-drivers",
  dictionary: H1_WORDS,
  seeds: (seed) =>
    fc
      .sample(fc.tuple(arbitraryPieces, arbitraryAnswers), { seed, numRuns: 100 })
      .map(([pieces, answers]) =>
        Array.from({ length: 16 }, (_, i) =>
          Buffer.from((i % 2 === 0 ? pieces[i / 2] : answers[(i - 1) / 2]) ?? "", "latin1"),
        ),
      ),
  run: async (input) => {
    const said = input.map((segment) => segment.toString("latin1"));
    const sent = said.filter((_, i) => i % 2 === 0);
    const answered = said.filter((_, i) => i % 2 === 1);
    const bytewise = Buffer.concat(input).length < 2_000 && said.length % 3 === 0;
    const { client, errors, origins } = await converse(sent, answered, bytewise);
    const statuses = [...client.received.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map(([, status]) => status);
    return [`${statuses.slice(0, 3).join()} ${errors.map((error) => error.code).join()} ${origins.length}`];
  },
};
