/** A profile's service over scripted backends, as the tests of profiles build it. */
import { NO_LOG, type Log } from "../../../src/log/log.ts";
import { createFamilies } from "../../../src/metrics/families.ts";
import { MetricRegistry } from "../../../src/metrics/metric-registry.ts";
import { ProfileService } from "../../../src/outbound/http/profile-service.ts";
import type { Profile, ProfileRoute } from "../../../src/policy/client-policy.ts";
import { ConcurrencyLimit } from "../../../src/stack/concurrency-limit.ts";
import { WatchCell } from "../../../src/watch/watch.ts";
import { scrape } from "../../metrics/page.ts";
import { regex } from "../../policy/requests.ts";
import { seeded } from "../../support/chance.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { responseHead, type SeenRequest } from "../../support/recording-app.ts";
import { name } from "../scripted.ts";
import { ScriptedBackends, type Seen } from "./scripted-backends.ts";

export const WEB = "Service.shop.web:80";
export const CANARY = "Service.shop.canary:80";

export const EMPTY: Profile = {
  logical: name("web.shop.svc.cluster.local:80"),
  opaqueProtocol: false,
  endpoint: undefined,
  routes: [],
  targets: [],
  retryBudget: undefined,
};

export function route(path: string, more: Partial<ProfileRoute> = {}): ProfileRoute {
  return {
    condition: { kind: "path", regex: regex(`^(?:${path})$`) },
    labels: [["route", path]],
    responseClasses: [],
    isRetryable: false,
    timeoutMs: undefined,
    ...more,
  };
}

export const target = (text: string, weight: number) => ({ addr: name(text), weight });
export const split = (web: number, canary: number): Partial<Profile> => ({
  targets: [target("web.shop.svc.cluster.local:80", web), target("canary.shop.svc.cluster.local:80", canary)],
});
export const BUDGET = { retryRatio: 0.2, minRetriesPerSecond: 1, ttlMs: 10_000 };
export const retryable = (more: Partial<ProfileRoute> = {}): Partial<Profile> => ({
  routes: [route("/r", { isRetryable: true, ...more })],
  retryBudget: BUDGET,
});

export function build(
  profile: Partial<Profile>,
  answer?: (request: SeenRequest, backend: string) => void,
  { inFlight = 100, log = NO_LOG }: { inFlight?: number; log?: Log } = {},
) {
  const clock = new FakeClock();
  const registry = new MetricRegistry(clock, 600_000);
  const families = createFamilies(registry);
  const backends = new ScriptedBackends(answer);
  const watch = new WatchCell<Profile>({ ...EMPTY, ...profile });
  const places = new ConcurrencyLimit(inFlight);
  const service = new ProfileService(name("web.shop.svc.cluster.local:80"), watch, backends.cache, {
    clock,
    random: seeded(7),
    families,
    log,
    inFlight: places,
  });
  /** Lines of the page that begin with a name, without it and the labels that all share. */
  const lines = async (family: string): Promise<string[]> =>
    (await scrape(registry))
      .split("\n")
      .filter((line) => line.startsWith(`${family}{`))
      .map((line) =>
        line
          .replace(`${family}{direction="outbound",dst="web.shop.svc.cluster.local:80"`, "")
          .replace(/^,/, ""),
      );
  return { clock, backends, watch, service, lines };
}

/** Answers with these statuses in turn, the last of them for ever. */
export function statuses(...list: readonly number[]): (request: SeenRequest) => void {
  let i = 0;
  return ({ response }) => response.head(responseHead(list[Math.min(i++, list.length - 1)] ?? 500), true);
}
export const status = (seen: Seen): number | string => seen.head?.status ?? seen.error?.code ?? "pending";
