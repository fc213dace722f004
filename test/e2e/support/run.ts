import { spawnSync } from "node:child_process";

export interface Finished {
  readonly ok: boolean;
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Long enough for any of the short programs that a test runs to their end. */
const TIMEOUT_MS = 20_000;

/** Runs a program to its end. */
export function run(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Finished {
  const [program = "", ...args] = argv;
  const result = spawnSync(program, args, {
    env: { ...BARE_ENVIRONMENT, ...env },
    encoding: "utf8",
    timeout: TIMEOUT_MS,
  });
  const problem = result.error === undefined ? "" : result.error.message;
  return {
    ok: result.status === 0,
    code: result.status,
    stdout: result.stdout ?? "",
    stderr: `${result.stderr ?? ""}${problem}`,
  };
}

/** Runs a program that must succeed, and returns what it printed. */
export function mustRun(argv: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const { ok, code, stdout, stderr } = run(argv, env);
  if (!ok) throw new Error(`${argv.join(" ")} ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}

/** No proxy variables and no settings of the person who runs the test; sbin is where ip and iptables live. */
export const BARE_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C",
};
