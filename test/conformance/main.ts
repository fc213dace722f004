/** `npm run conformance`: every h2spec case against every HTTP/2 listener of both proxies, and against their client. */
import { parseArgs } from "node:util";
import { findProgram, runH2spec, type Report } from "./h2spec.ts";
import { OTHERWISE, runH2specd } from "./h2specd.ts";
import { startListeners } from "./listeners.ts";

const HELP = `npm run conformance -- [options] [SECTION...]

  --listener TEXT   only listeners whose names contain TEXT: outbound, "inbound, clear text"; "client" for the client
  --help

Starts both proxies with an HTTP/2 application behind them and runs h2spec against each of their listeners: all cases,
strict ones included, or those of the sections named (http2/6.9.1). Where h2specd is at hand, it plays the server for
their HTTP/2 client, which takes a minute. Both come from github.com/summerwind/h2spec and are looked for on the path,
or where H2SPEC and H2SPECD say:

  go install github.com/summerwind/h2spec/cmd/h2spec@latest github.com/summerwind/h2spec/cmd/h2specd@latest

Exit code: 0 if every case passed, 1 if one failed or was skipped, 2 without h2spec.`;

const EXIT_FAILED = 1;
const EXIT_NOT_RUN = 2;
const CLIENT = "client of both proxies";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { listener: { type: "string", default: "" }, help: { type: "boolean", short: "h" } },
});

if (values.help === true) console.log(HELP);
else process.exitCode = await run();

async function run(): Promise<number> {
  const h2spec = findProgram("h2spec", "H2SPEC", process.env);
  if (h2spec === undefined) {
    const named = process.env["H2SPEC"];
    console.error(
      named === undefined
        ? "Not run: h2spec is not on the path. See --help for how to get it."
        : `Not run: H2SPEC names ${JSON.stringify(named)}, which cannot be executed.`,
    );
    return EXIT_NOT_RUN;
  }
  const results: boolean[] = [];
  const proxies = await startListeners();
  try {
    for (const { name, port } of proxies.listeners.filter(isChosen))
      results.push(print(name, await runH2spec(h2spec, port, positionals)));
  } finally {
    await proxies.close();
  }
  if (isChosen({ name: CLIENT }) && positionals.length === 0) {
    const h2specd = findProgram("h2specd", "H2SPECD", process.env);
    if (h2specd === undefined) console.log(`${CLIENT}: not run, because h2specd is not at hand`);
    else results.push(print(CLIENT, await runH2specd(h2specd)));
  }
  if (results.length === 0) {
    const names = [...proxies.listeners.map(({ name }) => name), CLIENT].join("; ");
    console.error(
      `Nothing was run: --listener ${JSON.stringify(values.listener)} must be part of one of: ${names}`,
    );
    return EXIT_NOT_RUN;
  }
  return results.every((isConformant) => isConformant) ? 0 : EXIT_FAILED;
}

function isChosen({ name }: { readonly name: string }): boolean {
  return name.includes(values.listener);
}

/** Whether every case passed, those aside where the suite is older than the RFC. */
function print(name: string, { passed, skipped, failed }: Report): boolean {
  const wrong = failed.filter((one) => !OTHERWISE.has(one));
  const otherwise = failed.filter((one) => OTHERWISE.has(one));
  const more = otherwise.length === 0 ? "" : `, ${otherwise.length} as the newer RFC wants it`;
  console.log(`${name}: ${passed} passed, ${wrong.length} failed, ${skipped.length} skipped${more}`);
  for (const one of wrong) console.log(`  failed  ${one}`);
  for (const one of skipped) console.log(`  skipped ${one}`);
  for (const one of otherwise) console.log(`  other   ${one} (${OTHERWISE.get(one)})`);
  return wrong.length === 0 && skipped.length === 0 && passed > 0;
}
