/** A client and an origin who say anything at all to each other through our HTTP/1 server and pool. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { H1Chain } from "./h1-chain.ts";

/** Bytes that look like HTTP/1 from afar, in any order; `FIN` and `RST` end the connection. */
export const arbitraryPieces = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.constantFrom(
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "0\r\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        "HEAD / HTTP/1.0\r\n\r\n",
      ),
    },
    { weight: 1, arbitrary: fc.constantFrom("\r\n", "\n", "garbage", "X: y\r\n", "\x00", "abc") },
    { weight: 1, arbitrary: fc.constantFrom("FIN", "RST") },
  ),
  { maxLength: 8 },
);
/** The same from the origin. */
export const arbitraryAnswers = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.constantFrom(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nbody",
        "HTTP/1.1 204 No Content\r\n\r\n",
      ),
    },
    { weight: 1, arbitrary: fc.constantFrom("garbage\r\n", "3\r\n", "\r\n", "\x00") },
    { weight: 1, arbitrary: fc.constantFrom("FIN", "RST") },
  ),
  { maxLength: 8 },
);

const TURNS = 8;

/**
 * Lets client and origin speak in turns, then leave.
 *
 * @throws AssertionError if anything is left behind: a connection, a timer.
 */
export async function converse(
  sent: readonly string[],
  answered: readonly string[],
  bytewise: boolean,
): Promise<H1Chain> {
  const chain = new H1Chain(bytewise ? { split: () => 1 } : {});
  const { left } = chain.clientPair;
  for (let i = 0; i < TURNS; i++) {
    const piece = sent[i];
    if (piece === "FIN") left.end();
    else if (piece === "RST") left.destroy();
    else if (piece !== undefined && !left.destroyed) chain.client.send(piece);
    await chain.settle();
    const answer = answered[i];
    const origin = chain.origins.at(-1);
    if (answer === undefined || origin === undefined) continue;
    if (answer === "FIN") origin.peer.end();
    else if (answer === "RST") origin.pair.right.destroy();
    else origin.peer.send(answer);
    await chain.settle();
  }
  left.destroy();
  await chain.settle();
  assert.equal(chain.pool.activeConnections, 0);
  chain.pool.close();
  await chain.settle();
  assert.equal(chain.pool.idleConnections, 0);
  assert.ok(chain.origins.every(({ peer }) => peer.closed));
  assert.equal(chain.clock.timers, 0);
  return chain;
}
