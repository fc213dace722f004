import { parseArgs } from "node:util";
import { PEERS } from "./peers/all.ts";
import type { Peer } from "./peers/peer.ts";
import { exactly, OVERVIEW, type RoundPlan, SETTLED_WITHIN, UNTIL_SETTLED } from "./settled.ts";
import { ALL_SCENARIOS, DEFAULT_SCENARIOS, SCENARIOS, type Scenario } from "./suite.ts";

const HALF = DEFAULT_SCENARIOS.length / 2;

export const HELP = `npm run bench -- [options]

  --list             the scenarios and the proxies to compare with
  --scenario A,B     these scenarios, or "all" (default: ${DEFAULT_SCENARIOS.slice(0, HALF).join(", ")},
                     ${DEFAULT_SCENARIOS.slice(HALF).join(", ")})
  --against A,B      these proxies, "all" or "none" (default: haproxy, node:http2)
  --base DIR         also another checkout of this project: what a change costs or saves
  --rounds N         exactly so many rounds (default: until each ratio is known within ${SETTLED_WITHIN * 100} %, ${UNTIL_SETTLED.atLeast} to ${UNTIL_SETTLED.atMost};
                     without --scenario no more than ${OVERVIEW.atMost})
  --seconds N        measured seconds of each proxy in a round, in turns of a quarter (default 2)
  --warm-up N        seconds of load for each proxy before the first round (default 3)
  --minutes N        how long the scenario "soak" takes (default 10)
  --json FILE        where the figures go (default bench/results/DATE.json)
  --html FILE        where the page with the plots goes (default beside the figures)
  --readme           write the figures into README.md
  --check            measure what bench/budgets.json names; exit 1 if a budget is missed
  --short            with --check: only the budgets of the short form
  --slow-down N      our proxies take N microseconds more for each request: shows that --check notices
  --help

Every proxy does the same job on the same core; the load and the application share another. Absolute figures change from
machine to machine and from hour to hour: compare the ratios, which are medians over the rounds. The quiet p99 is that
of the quietest quarter of stretches of 200 requests: the others show stalls of the machine.
Other proxies are found on PATH (haproxy, nginx, nghttpx) or named by OUTRIGGER_BENCH_ENVOY and
OUTRIGGER_BENCH_LINKERD2_PROXY.`;

const DEFAULT_AGAINST = "haproxy,node:http2";
/** Ten minutes: what the memory goal is stated for. */
const SOAK_MINUTES = "10";

/** A command line that cannot be followed; the message says what was found and what was expected. */
export class UsageError extends Error {}

export interface Options {
  readonly help: boolean;
  readonly list: boolean;
  readonly check: boolean;
  readonly short: boolean;
  readonly readme: boolean;
  readonly scenarios: readonly Scenario[];
  readonly against: readonly Peer[];
  readonly base: string | undefined;
  readonly rounds: RoundPlan;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly minutes: number;
  readonly slowDownMicros: number;
  readonly json: string | undefined;
  readonly html: string | undefined;
}

/** @throws UsageError */
export function parseOptions(args: readonly string[]): Options {
  const values = parse(args);
  const short = values.short ?? false;
  const check = values.check ?? false;
  if (short && !check) throw new UsageError("--short: only together with --check");
  if (check && (values.scenario !== undefined || values.against !== undefined)) {
    throw new UsageError(
      "--check: what is measured stands in bench/budgets.json; without --scenario and --against",
    );
  }
  const wanted = values.scenario ?? DEFAULT_SCENARIOS.join(",");
  return {
    help: values.help ?? false,
    list: values.list ?? false,
    check,
    short,
    readme: values.readme ?? false,
    scenarios: chosen("--scenario", wanted === "all" ? ALL_SCENARIOS.join(",") : wanted, SCENARIOS),
    against: chosen("--against", values.against ?? DEFAULT_AGAINST, PEERS),
    base: values.base,
    rounds: roundsOf(values.rounds, values.scenario),
    seconds: positive("--seconds", values.seconds),
    warmUpSeconds: positive("--warm-up", values["warm-up"]),
    minutes: positive("--minutes", values.minutes),
    slowDownMicros: values["slow-down"] === undefined ? 0 : positive("--slow-down", values["slow-down"]),
    json: values.json,
    html: values.html,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        list: { type: "boolean" },
        scenario: { type: "string" },
        against: { type: "string" },
        base: { type: "string" },
        rounds: { type: "string" },
        seconds: { type: "string", default: "2" },
        "warm-up": { type: "string", default: "3" },
        minutes: { type: "string", default: SOAK_MINUTES },
        json: { type: "string" },
        html: { type: "string" },
        readme: { type: "boolean" },
        check: { type: "boolean" },
        short: { type: "boolean" },
        "slow-down": { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function roundsOf(rounds: string | undefined, scenarios: string | undefined): RoundPlan {
  if (rounds !== undefined) return exactly(Math.ceil(positive("--rounds", rounds)));
  return scenarios === undefined || scenarios === "all" ? OVERVIEW : UNTIL_SETTLED;
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0)
    throw new UsageError(`${flag}: found "${text}", expected a number above 0`);
  return value;
}

/** Those named in a list, in their own order. */
export function chosen<T extends { readonly name: string }>(
  flag: string,
  text: string,
  all: readonly T[],
): readonly T[] {
  if (text === "all") return all;
  if (text === "none") return [];
  const names = text.split(",").filter(Boolean);
  const known = all.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`${flag}: found "${unknown}", expected some of ${known.join(", ")}`);
  return all.filter(({ name }) => names.includes(name));
}
