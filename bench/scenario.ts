/** `npm run scenario -- NAME`: the long forms of what `npm test` shows in seconds. Exits with 1 if a promise is broken. */
import { parseArgs } from "node:util";
import { table } from "./harness/table.ts";
import { bulk } from "./scenarios/bulk.ts";
import { brokenPromises as brokenCanary, canaryText } from "./scenarios/canary-result.ts";
import { canary } from "./scenarios/canary.ts";
import { integrity } from "./scenarios/integrity.ts";
import { brokenPromises as brokenDay } from "./scenarios/outbound-day-result.ts";
import { outboundDayText } from "./scenarios/outbound-day-text.ts";
import { outboundDay } from "./scenarios/outbound-day.ts";
import { brokenPromises as brokenChurn, policyChurnText } from "./scenarios/policy-churn-result.ts";
import { policyChurn } from "./scenarios/policy-churn.ts";
import { brokenPromises as brokenRate, rateLimitText } from "./scenarios/rate-limit-result.ts";
import { rateLimit } from "./scenarios/rate-limit.ts";
import { brokenPromises as brokenRotation, renewalsOwed } from "./scenarios/rotation-result.ts";
import { rotation } from "./scenarios/rotation.ts";

const HELP = `npm run scenario -- NAME [--seconds N] [--requests N] [--seed N]

  bulk       100 MiB each way over HTTP/1, HTTP/2, gRPC and TCP through a pair of proxies, byte for byte, to a reader ten
             times slower than the writer: no proxy may grow by 64 MiB (about a minute and a half)
  rotation   certificates that live 15 seconds under 200 requests a second of every protocol, for 5 minutes or --seconds N:
             the issuer is replaced, then the trust anchor, then a proxy joins that knows the new anchor alone; no request
             fails, no stream breaks, and each proxy renews in time
  integrity  bodies from 1 byte to 64 MiB both ways over HTTP/1, HTTP/2, gRPC and TCP, in mutual TLS and clear text, to
             and from fast and slow peers, 200 at once: not one wrong byte. For 5 minutes, or --seconds N; the same
             exchanges as before with --seed N
  outbound-day
             an outbound proxy in front of ten endpoints that in turn leave, come back, die, become slow and fail, at 200
             requests a second: 99.9 % succeed, none is sent again against its policy, and the slow endpoint gets less
             than 2 %. For 5 minutes, or --seconds N: one round of incidents a minute, a short one if N is below 60
  canary     the weights of a route go from 0/100 to 100/0 in ten steps: the split is as asked within 1.5 percentage
             points, and no request fails. With 10,000 requests a step, or --requests N
  policy-churn
             a policy that is replaced 1,000 times in a minute under load of every protocol, from two identities and a client
             without one: no decision mixes two versions, each version is in force within a second, and the proxies need no
             more memory afterwards. For 60 seconds, or --seconds N, with as many updates a second
  rate-limit 100 requests a second for each identity: three of them at once, each with 250 a second over HTTP/1, HTTP/2 and
             gRPC, are given 98 to 102 after the burst that a limit lets pass from idle, and refused as each protocol has
             it. For 30 seconds, or --seconds N (at least 3)

Runs the control plane and the proxies as processes on loopback. Exits with 1 if what it shows does not hold.
`;

const MIB = 1 << 20;
const GROWTH_MAX_MIB = 64;
const INTEGRITY_SECONDS = 300;
const ROTATION_SECONDS = 300;
const ROTATION_LIFETIME_SECONDS = 15;
const OUTBOUND_DAY_SECONDS = 300;
const CANARY_REQUESTS = 10_000;
const POLICY_CHURN = { seconds: 60, updates: 1_000, steadySeconds: 10, inForceWithinMs: 1_000 };
const RATE_LIMIT_SECONDS = 30;
const RATE_LIMIT_SECONDS_MIN = 3;

interface Options {
  /** Undefined: as long as the scenario is made for. */
  readonly seconds: number | undefined;
  readonly requests: number | undefined;
  readonly seed: number | undefined;
}

/** Each prints what it measured. @returns what did not hold. */
const SCENARIOS: Readonly<Record<string, (options: Options) => Promise<readonly string[]>>> = {
  async bulk() {
    const bytes = 100 * MIB;
    const results = await bulk({ slowBytes: bytes, stalledBytes: bytes }, ({ protocol, direction }) => {
      process.stderr.write(`${protocol} ${direction}: all bytes arrived\n`);
    });
    console.log(
      table(
        results.map((result) => ({
          transfer: `${result.protocol} ${result.direction}`,
          "fast MiB/s": result.fastMiBPerSecond.toFixed(0),
          "slow MiB/s": result.slowMiBPerSecond.toFixed(1),
          "ahead of a stalled reader, MiB": result.aheadMiB.toFixed(1),
          "outbound grew, MiB": result.growthMiB.outbound.toFixed(1),
          "inbound grew, MiB": result.growthMiB.inbound.toFixed(1),
        })),
      ),
    );
    return results
      .filter(({ growthMiB }) => Math.max(growthMiB.outbound, growthMiB.inbound) >= GROWTH_MAX_MIB)
      .map(
        ({ protocol, direction }) =>
          `${protocol} ${direction}: a proxy grew by ${GROWTH_MAX_MIB} MiB or more`,
      );
  },

  async rotation({ seconds = ROTATION_SECONDS }) {
    const result = await rotation({ lifetimeSeconds: ROTATION_LIFETIME_SECONDS, seconds });
    console.log(
      table(Object.entries(result.requests).map(([kind, count]) => ({ kind, exchanges: String(count) }))),
    );
    const renewals = Object.entries(result.renewals).map(([proxy, count]) => `${proxy} ${count} times`);
    console.log(
      `\n${result.seconds.toFixed(0)} s, renewed: ${renewals.join(", ")} (at least ${renewalsOwed(result)}), ` +
        `${result.handshakes} handshakes, the old anchor's certificates ran out ` +
        `${result.oldEndedSecondsBeforeEnd.toFixed(0)} s before the end, ${result.failures.length} failures`,
    );
    return brokenRotation(result);
  },

  async integrity({ seconds = INTEGRITY_SECONDS, seed = Math.floor(Math.random() * 2 ** 32) }) {
    console.log(`seed ${seed}`);
    const result = await integrity({ seconds, seed, concurrency: 200, maxBytes: 64 * MIB });
    const rows = [...result.tallies].sort(([a], [b]) => a.localeCompare(b));
    console.log(
      table(
        rows.map(([kind, { exchanges, bytes, failures }]) => ({
          kind,
          uploads: String(exchanges.upload),
          downloads: String(exchanges.download),
          echoes: String(exchanges.echo),
          MiB: (bytes / MIB).toFixed(1),
          failures: String(failures),
        })),
      ),
    );
    console.log(`\n${result.seconds.toFixed(0)} s, ${result.failures.length} failures`);
    return result.failures;
  },

  async "outbound-day"({ seconds = OUTBOUND_DAY_SECONDS }) {
    const result = await outboundDay({ seconds }, ({ kind, endpoint, fromMs }) => {
      process.stderr.write(`${(fromMs / 1000).toFixed(0)} s: endpoint ${endpoint} ${kind}\n`);
    });
    console.log(outboundDayText(result));
    return brokenDay(result);
  },

  async canary({ requests = CANARY_REQUESTS }) {
    const result = await canary({ requests }, ({ weights }) => {
      process.stderr.write(`${weights.before}/${weights.canary}: all requests answered\n`);
    });
    console.log(canaryText(result));
    return brokenCanary(result);
  },

  async "policy-churn"({ seconds = POLICY_CHURN.seconds }) {
    const updates = Math.round((POLICY_CHURN.updates * seconds) / POLICY_CHURN.seconds);
    const steadySeconds = Math.min(POLICY_CHURN.steadySeconds, seconds);
    const result = await policyChurn({ ...POLICY_CHURN, seconds, updates, steadySeconds });
    console.log(policyChurnText(result));
    return brokenChurn(result);
  },

  async "rate-limit"({ seconds = RATE_LIMIT_SECONDS }) {
    const result = await rateLimit({ seconds: Math.max(seconds, RATE_LIMIT_SECONDS_MIN) });
    console.log(rateLimitText(result));
    return brokenRate(result);
  },
};

function number(option: "seconds" | "requests" | "seed"): number | undefined {
  const text = values[option];
  if (text === undefined) return undefined;
  const least = option === "seed" ? 0 : 1;
  if (!/^\d{1,10}$/.test(text) || Number(text) < least)
    throw new Error(`--${option}: found "${text}", expected a whole number from ${least}`);
  return Number(text);
}

const { values, positionals } = parseArgs({
  options: {
    help: { type: "boolean", short: "h" },
    seconds: { type: "string" },
    requests: { type: "string" },
    seed: { type: "string" },
  },
  allowPositionals: true,
});
const [name = ""] = positionals;
const scenario = SCENARIOS[name];
if (values.help === true) {
  process.stdout.write(HELP);
} else if (scenario === undefined || positionals.length !== 1) {
  const known = Object.keys(SCENARIOS).join(", ");
  process.stderr.write(`scenario: found "${positionals.join(" ")}", expected one of ${known}\n`);
  process.exitCode = 64;
} else {
  const broken = await scenario({
    seconds: number("seconds"),
    requests: number("requests"),
    seed: number("seed"),
  });
  for (const problem of broken) console.error(`BROKEN: ${problem}`);
  if (broken.length > 0) process.exitCode = 1;
}
