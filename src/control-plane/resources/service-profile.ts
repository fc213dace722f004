import { isScalar } from "yaml";
import { parseAddr } from "../../addr/name-addr.ts";
import { parsed, unparsed } from "../../parsed.ts";
import { reportMismatch, warn } from "./found.ts";
import { resource, type Resource } from "./object-meta.ts";
import {
  requestCondition,
  responseCondition,
  type RequestCondition,
  type ResponseCondition,
} from "./profile-condition.ts";
import { parseMilliQuantity } from "./quantity.ts";
import {
  anything,
  BAD,
  boolean,
  integer,
  listOf,
  number,
  object,
  optional,
  parsedText,
  refine,
  required,
  textLike,
  withDefault,
  type Reader,
} from "./reader.ts";
import { goDuration } from "./words.ts";

/** Routes, retries and splits of a Service as Linkerd had them before Gateway API. Its name is the Service's DNS name. */
export interface ServiceProfile extends Resource {
  readonly kind: "ServiceProfile";
  readonly routes: readonly ProfileRoute[];
  /** Undefined takes the default. */
  readonly retryBudget: ProfileRetryBudget | undefined;
  /** Empty: all traffic goes to the Service itself. */
  readonly dstOverrides: readonly WeightedDst[];
}

export interface ProfileRoute {
  readonly name: string;
  readonly condition: RequestCondition;
  readonly responseClasses: readonly ResponseClass[];
  readonly isRetryable: boolean;
  /** Milliseconds; undefined means no limit. */
  readonly timeoutMs: number | undefined;
}

export interface ResponseClass {
  readonly condition: ResponseCondition;
  readonly isFailure: boolean;
}

export interface ProfileRetryBudget {
  readonly retryRatio: number;
  readonly minRetriesPerSecond: number;
  readonly ttlMs: number;
}

export interface WeightedDst {
  /** A name; without a port that of the lookup is meant. */
  readonly authority: string;
  /** In ten-thousandths: a quantity of `1` is 10000. */
  readonly weight: number;
}

const responseClass: Reader<ResponseClass> = object({
  condition: required(responseCondition),
  isFailure: withDefault(boolean, false),
});

const NO_CLASSES: readonly ResponseClass[] = [];

const route: Reader<ProfileRoute> = refine(
  object({
    name: required(textLike(/./s, "the name of the route")),
    condition: required(requestCondition),
    responseClasses: withDefault(listOf(responseClass), NO_CLASSES),
    isRetryable: withDefault(boolean, false),
    timeout: optional(goDuration),
  }),
  ({ timeout, ...rest }) => ({ ...rest, timeoutMs: timeout || undefined }),
);

const MIN_RETRIES_MAX = 2 ** 31 - 1;
const RETRY_RATIO_MAX = 1000;
const BUDGET_TTL_MIN_MS = 1000;
const BUDGET_TTL_MAX_MS = 60_000;

/** Bounds as proxies have them; a budget outside of them would switch retries off. */
const retryBudget: Reader<ProfileRetryBudget> = refine(
  object({
    retryRatio: required(number(0, RETRY_RATIO_MAX)),
    minRetriesPerSecond: required(integer(0, MIN_RETRIES_MAX)),
    ttl: required(goDuration),
  }),
  ({ ttl, ...rest }, at) => {
    if (ttl < BUDGET_TTL_MIN_MS || ttl > BUDGET_TTL_MAX_MS) {
      warn(
        { ...at, path: `${at.path}.ttl` },
        `found ${ttl}ms, expected 1s to 60s: proxies do not retry with this`,
      );
    }
    return { ...rest, ttlMs: ttl };
  },
);

/** Ten-thousandths in a thousandth. Source: linkerd2, controller/api/destination/profile_translator.go. */
const DECIMILLIS_PER_MILLI = 10;
const U32_MAX = 0xffff_ffff;

const weight: Reader<number> = (value) => {
  const raw = isScalar(value.node) ? value.node.value : undefined;
  const milli =
    typeof raw === "string" || typeof raw === "number" ? parseMilliQuantity(String(raw)) : undefined;
  if (milli?.ok && milli.value * DECIMILLIS_PER_MILLI <= U32_MAX) return milli.value * DECIMILLIS_PER_MILLI;
  reportMismatch(value, `a weight such as 1 or 500m, up to ${Math.floor(U32_MAX / 10_000)}`);
  return BAD;
};

/** Any port will do here: only whether one is written matters. */
const PORT_OF_LOOKUP = 80;

const authority = parsedText(
  "a name such as web.shop.svc.cluster.local or web.shop.svc.cluster.local:80",
  (text) => {
    const addr = parseAddr(text, PORT_OF_LOOKUP);
    return addr.ok && addr.value.kind === "name" ? parsed(text) : unparsed("not a name");
  },
);

const spec = object({
  routes: withDefault(listOf(route), []),
  retryBudget: optional(retryBudget),
  dstOverrides: withDefault(listOf(object({ authority: required(authority), weight: required(weight) })), []),
  /** The controllers put the Service's own annotation in its place. */
  opaquePorts: optional(anything),
});

/** linkerd.io ServiceProfile. Source: linkerd2, controller/gen/apis/serviceprofile/v1alpha2/types.go, pkg/profiles/profiles.go. */
export const readServiceProfile: Reader<ServiceProfile> = resource(
  { spec: required(spec) },
  (base, { spec: { routes, retryBudget, dstOverrides } }) => ({
    ...base,
    kind: "ServiceProfile",
    routes,
    retryBudget,
    dstOverrides,
  }),
);
