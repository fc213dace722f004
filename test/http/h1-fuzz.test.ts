import { test } from "node:test";
import * as fc from "fast-check";
import { arbitraryAnswers, arbitraryPieces, converse } from "../support/h1-conversation.ts";

test("INV-2 nothing that either side sends breaks the connection's state, and nothing is left behind", async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryPieces, arbitraryAnswers, fc.boolean(), async (sent, answered, bytewise) => {
      await converse(sent, answered, bytewise);
    }),
    { numRuns: 300 },
  );
});
