import { parseArgs } from "node:util";
import { BUILD } from "../config/build-info.ts";
import type { Config } from "../config/config.ts";
import { load, loadLogConfig } from "../config/load.ts";
import { createLog, type Logging } from "../log/create-log.ts";
import type { RunningProxy } from "../proxy.ts";
import { FILES, readEnvironment } from "./environment.ts";
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from "./exit-code.ts";
import { forbidMemoryDumps } from "./forbid-memory-dumps.ts";
import type { Signals } from "./signals.ts";

const HELP = `Usage: outrigger proxy [--config FILE]

Runs the sidecar proxy. Everything is configured by environment variables with the names of the stock proxy
(LINKERD2_PROXY_...); src/config/variables.md lists them with their defaults.

  --config FILE   take variables from a file of NAME=VALUE lines; those of the environment win over it
  --help          print this

The proxy needs at least
  LINKERD2_PROXY_DESTINATION_SVC_ADDR   where the destination controller is, such as localhost.:8086
  LINKERD2_PROXY_POLICY_SVC_ADDR        where the policy controller is
  LINKERD2_PROXY_POLICY_WORKLOAD        who asks for policy, such as {"ns":"shop","pod":"web-1"}
  LINKERD2_PROXY_IDENTITY_SVC_ADDR      where certificates are issued
  LINKERD2_PROXY_IDENTITY_LOCAL_NAME    our own identity, a DNS name
  LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS PEM text of the mesh's root certificates
  LINKERD2_PROXY_IDENTITY_DIR           an existing directory for our key
  LINKERD2_PROXY_IDENTITY_TOKEN_FILE    a file with the token that proves who we are
or, where a SPIRE agent gives identities, in place of the last five
  LINKERD2_PROXY_IDENTITY_SPIRE_WORKLOAD_API_ADDRESS   its socket, such as unix:///run/spire/agent/api.sock
  LINKERD2_PROXY_IDENTITY_SERVER_ID     our own identity, a spiffe URI
  LINKERD2_PROXY_IDENTITY_SERVER_NAME   the name that peers ask for
  LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS as above: what the agent says of trust is not read
Controllers that are not on loopback (write localhost. with its dot) need their ..._SVC_NAME too.

It exits with 64 when the configuration is wrong, after listing everything that is wrong with it; with 1 when it cannot
start; and with 0 after SIGTERM or SIGINT, once work under way has ended or LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD is over.
No mesh at hand? Try: outrigger demo
`;

/** Runs the proxy until it has been told to end. @returns the exit code. */
export async function run(args: readonly string[], signals: Signals): Promise<number> {
  const options = parseOptions(args);
  if (typeof options === "number") return options;
  const environment = readEnvironment(options.config);
  if (!environment.ok) return refuse(environment.problems);
  const strings = (name: string): string | undefined => environment.values.get(name);

  const logging = startLog(strings);
  const loaded = load(strings, FILES);
  if (!loaded.ok) {
    for (const problem of loaded.problems) logging.log.error(problem);
    return refuse(loaded.problems);
  }
  for (const warning of loaded.config.warnings) logging.log.warn(warning);

  const dumpable = forbidMemoryDumps();
  if (dumpable !== undefined) logging.log.info("Memory of this process may be dumped", { reason: dumpable });

  const proxy = await start(loaded.config, logging, environment.values);
  if (proxy === undefined) return EXIT_FAILURE;
  signals.onShutdown((signal) => {
    logging.log.target("linkerd_proxy::signal").info(`received ${signal}, starting shutdown`);
    logging.log.info("Received shutdown signal");
    void proxy.shutdown(signal);
  });
  await proxy.done;
  return EXIT_OK;
}

function parseOptions(args: readonly string[]): { readonly config: string | undefined } | number {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { config: { type: "string" }, help: { type: "boolean", short: "h" } },
    });
    if (values.help !== true) return { config: values.config };
    process.stdout.write(HELP);
    return EXIT_OK;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`outrigger proxy: ${reason}\nTry: outrigger proxy --help\n`);
    return EXIT_USAGE;
  }
}

/** One message with everything that is wrong, on the stream that a container's supervisor keeps. */
function refuse(problems: readonly string[]): number {
  const list = problems.map((problem) => `  - ${problem}\n`).join("");
  process.stderr.write(`Invalid configuration:\n${list}`);
  return EXIT_USAGE;
}

function startLog(strings: (name: string) => string | undefined): Logging {
  const logging = createLog({ ...loadLogConfig(strings), write: (line) => void process.stdout.write(line) });
  for (const problem of logging.problems) process.stderr.write(`ignoring a log directive: ${problem}\n`);
  const built = `${BUILD.gitSha === "" ? "" : ` (${BUILD.gitSha})`} by ${BUILD.vendor}${BUILD.date === "" ? "" : ` on ${BUILD.date}`}`;
  logging.log.target("linkerd2_proxy").info(`${BUILD.profile} ${BUILD.version}${built}`);
  // A bug that nobody caught: the supervisor must see it and start us anew. Unhandled rejections arrive here too.
  process.on("uncaughtException", (error) => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    logging.log.error("uncaught exception", { error: text });
    process.stderr.write(`outrigger: uncaught exception: ${text}\n`);
    process.exit(EXIT_FAILURE);
  });
  return logging;
}

async function start(
  config: Config,
  logging: Logging,
  environment: ReadonlyMap<string, string>,
): Promise<RunningProxy | undefined> {
  try {
    // Loaded only now: a wrong configuration is told without waiting for the whole data plane.
    const { startProxy } = await import("../proxy.ts");
    return await startProxy(config, { logging, environment });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    logging.log.error(`Initialization failure: ${reason}`);
    process.stderr.write(`Initialization failure: ${reason}\n`);
    return undefined;
  }
}
