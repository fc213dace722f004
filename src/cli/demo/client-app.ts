/**
 * The demo's client: for every line on its standard input it sends one request of each kind, and prints each answer as a
 * line of JSON. It ends when its standard input does.
 *
 * Its one argument tells, as JSON, where each kind of request goes.
 */
import { createInterface } from "node:readline";
import { REQUESTS, type RequestTargets } from "./contract.ts";
import { send } from "./requests.ts";

// The demo makes this argument.
const targets = JSON.parse(process.argv[2] ?? "{}") as RequestTargets;

for await (const _ of createInterface({ input: process.stdin })) {
  for (const name of REQUESTS) {
    const answer = await send(name, targets[name]);
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}
