/**
 * Runs scripts of package.json beside each other, and prints what each has said when it is done:
 * `node test/side-by-side.ts check:types check:lint`. Fails if any of them does.
 */
import { spawn } from "node:child_process";

interface Outcome {
  readonly failed: boolean;
  readonly said: string;
}

function run(script: string): Promise<Outcome> {
  const child = spawn(process.execPath, ["--run", script], { stdio: ["ignore", "pipe", "pipe"] });
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => said.push(chunk));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ failed: code !== 0, said: Buffer.concat(said).toString() }));
  });
}

const outcomes = await Promise.all(
  process.argv.slice(2).map(async (script) => {
    const outcome = await run(script);
    process.stdout.write(`> ${script}\n${outcome.said}`);
    return outcome;
  }),
);
if (outcomes.some(({ failed }) => failed)) process.exitCode = 1;
