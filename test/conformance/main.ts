/** `npm run conformance`: every h2spec case against every HTTP/2 listener of both proxies. */
import { parseArgs } from "node:util";
import { findH2spec, runH2spec, type Report } from "./h2spec.ts";
import { startListeners } from "./listeners.ts";

const HELP = `npm run conformance -- [options] [SECTION...]

  --listener TEXT   only listeners whose names contain TEXT: outbound, "inbound, clear text"
  --help

Starts both proxies with an HTTP/2 application behind them and runs h2spec against each of their listeners: all cases,
strict ones included, or those of the sections named (http2/6.9.1). Needs h2spec (github.com/summerwind/h2spec) on the
path, or H2SPEC=FILE:

  go install github.com/summerwind/h2spec/cmd/h2spec@latest

Exit code: 0 if every case passed, 1 if one failed or was skipped, 2 without h2spec.`;

const EXIT_FAILED = 1;
const EXIT_NOT_RUN = 2;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { listener: { type: "string", default: "" }, help: { type: "boolean", short: "h" } },
});
if (values.help === true) {
  console.log(HELP);
  process.exit(0);
}
const binary = findH2spec(process.env);
if (binary === undefined) {
  const named = process.env["H2SPEC"];
  console.error(
    named === undefined
      ? "Not run: h2spec is not on the path. See --help for how to get it."
      : `Not run: H2SPEC names ${JSON.stringify(named)}, which cannot be executed.`,
  );
  process.exit(EXIT_NOT_RUN);
}

const { listeners, close } = await startListeners();
let isConformant = true;
try {
  const chosen = listeners.filter(({ name }) => name.includes(values.listener));
  if (chosen.length === 0) {
    throw new Error(
      `no listener contains ${JSON.stringify(values.listener)}: ${listeners.map((l) => l.name).join("; ")}`,
    );
  }
  for (const { name, port } of chosen) {
    const report = await runH2spec(binary, port, positionals);
    print(name, report);
    if (report.failed.length > 0 || report.skipped.length > 0 || report.passed === 0) isConformant = false;
  }
} finally {
  await close();
}
process.exitCode = isConformant ? 0 : EXIT_FAILED;

function print(name: string, { passed, skipped, failed }: Report): void {
  console.log(`${name}: ${passed} passed, ${failed.length} failed, ${skipped.length} skipped`);
  for (const one of failed) console.log(`  failed  ${one.replaceAll("\n", "\n          ")}`);
  for (const one of skipped) console.log(`  skipped ${one}`);
}
