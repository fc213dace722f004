import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { clientPolicyFromProto } from "../../../src/control/convert/client-policy.ts";
import { invalidClientPolicy } from "../../../src/policy/invalid.ts";
import type { ClientPolicy } from "../../../src/policy/client-policy.ts";
import {
  OutboundPolicySchema,
  type BackendSchema,
  type FailureAccrualSchema,
  type HttpRoute_RuleSchema,
  type OutboundPolicy,
} from "../../../src/proto/gen/outbound_pb.js";
import { fixture } from "../fixture.ts";

function valid(message: OutboundPolicy): ClientPolicy {
  const policy = clientPolicyFromProto(message, 5000);
  return policy.ok ? policy.value : assert.fail(policy.problem);
}
const example = (name: string) => valid(fixture(OutboundPolicySchema, name));

const metadata = { kind: { case: "default", value: "test" } } as const;
const queue = { capacity: 100, failfastTimeout: { seconds: 3n } };
const second = { seconds: 1n };
const load = { case: "peakEwma", value: { defaultRtt: second, decay: second } } as const;
const discovery = { kind: { case: "dst", value: { path: "web.shop:80" } } } as const;
const balancer = { case: "balancer", value: { discovery, load } } as const;
const backend = { metadata, queue, kind: balancer };

/** Plain fields, without the messages that an initialiser may be as well. */
type Fields<D extends DescMessage> = Exclude<MessageInitShape<D>, MessageShape<D>>;
type RuleInit = Fields<typeof HttpRoute_RuleSchema>;
type BackendInit = Fields<typeof BackendSchema>;

const to = (init: BackendInit): RuleInit => ({
  backends: { kind: { case: "firstAvailable", value: { backends: [{ backend: init }] } } },
});
const empty: RuleInit = { backends: { kind: { case: "empty", value: {} } } };

/** An HTTP/1 policy of one rule. */
function policyOf(
  rule: RuleInit,
  failureAccrual?: MessageInitShape<typeof FailureAccrualSchema>,
): OutboundPolicy {
  return create(OutboundPolicySchema, {
    metadata,
    protocol: {
      kind: {
        case: "http1",
        value: {
          routes: [{ metadata, rules: [rule] }],
          ...(failureAccrual === undefined ? {} : { failureAccrual }),
        },
      },
    },
  });
}
function ruleOf(rule: RuleInit) {
  const { protocol } = valid(policyOf(rule));
  assert.ok(protocol.kind === "http1");
  return protocol.http1.routes[0]?.rules[0] ?? assert.fail("no rule");
}
function problem(message: OutboundPolicy): string {
  const policy = clientPolicyFromProto(message, 5000);
  return policy.ok ? assert.fail("is valid") : policy.problem;
}

describe("an outbound policy from a controller", () => {
  it("of a service balances over its name", () => {
    const policy = example("service-policy");
    assert.deepEqual(policy.parent, {
      kind: "resource",
      group: "core",
      resourceKind: "Service",
      name: "web",
      namespace: "shop",
      section: "",
      port: 80,
    });
    assert.ok(policy.protocol.kind === "detect");
    assert.equal(policy.protocol.timeoutMs, 5000, "the proxy's own");
    const { distribution } = policy.protocol.http1.routes[0]?.rules[0] ?? assert.fail();
    assert.ok(distribution.kind === "first_available");
    assert.deepEqual(distribution.backends[0]?.backend.dispatcher, {
      kind: "balance",
      path: { name: "web.shop.svc.cluster.local", port: 80 },
      load: { kind: "peak_ewma", defaultRttMs: 30, decayMs: 10_000 },
    });
    assert.equal(policy.protocol.opaque?.distribution.kind, "first_available");
  });

  it("of an address forwards to it in clear text", () => {
    const { protocol } = example("external-policy");
    assert.ok(protocol.kind === "detect" && protocol.opaque?.distribution.kind === "first_available");
    const dispatcher = protocol.opaque.distribution.backends[0]?.backend.dispatcher;
    assert.ok(dispatcher?.kind === "forward");
    assert.equal(dispatcher.endpoint.addr.ip.text, "203.0.113.80");
    assert.deepEqual(dispatcher.endpoint.metadata.identity, { kind: "none" });
  });

  it("with an HTTPRoute has matches, weights, timeouts, retries and a breaker", () => {
    const { protocol } = example("canary-policy");
    assert.ok(protocol.kind === "detect");
    assert.deepEqual(protocol.http2.failureAccrual, {
      kind: "consecutive",
      maxFailures: 7,
      backoff: { minMs: 1000, maxMs: 60_000, jitter: 0.5 },
    });
    const [canary] = protocol.http2.routes[0]?.rules ?? [];
    assert.ok(canary);
    const [match] = canary.matches;
    assert.deepEqual(match?.path, { kind: "prefix", prefix: "/api" });
    assert.equal(match?.method, "GET");
    const [header] = match?.headers ?? [];
    assert.ok(header?.kind === "exact");
    assert.deepEqual([header.name.text, header.value], ["x-canary", "true"]);
    const [filter] = canary.filters;
    assert.ok(filter?.kind === "request_headers");
    assert.deepEqual(
      filter.modifier.add.map(([name, value]) => [name.text, value]),
      [["x-route", "canary"]],
    );
    assert.deepEqual(
      filter.modifier.remove.map((name) => name.text),
      ["x-debug"],
    );
    assert.ok(canary.distribution.kind === "random_available");
    assert.deepEqual(
      canary.distribution.backends.map((b) => [b.weight, b.backend.meta.name]),
      [
        [90, "web-v2"],
        [10, "web-v3"],
      ],
    );
    const missing = canary.distribution.backends[1];
    assert.deepEqual(missing?.backend.dispatcher, {
      kind: "fail",
      message: "backend for Service shop/web-v3 has no dispatcher",
    });
    assert.deepEqual(missing?.filters, [
      {
        kind: "http_failure",
        status: 500,
        message: "Service not found web-v3",
        ratio: { numerator: 1, denominator: 1 },
      },
    ]);
    assert.deepEqual(canary.timeouts, { requestMs: 2000, responseMs: 1000, idleMs: undefined });
    assert.deepEqual(canary.retry, {
      maxRetries: 3,
      maxRequestBytes: 65_536,
      timeoutMs: 400,
      backoff: { minMs: 25, maxMs: 250, jitter: 1 },
      statusRanges: [{ low: 500, high: 599 }],
    });
    assert.equal(canary.allowL5dRequestHeaders, false);
  });

  it("of a denied egress forbids what no route allows", () => {
    assert.equal(example("egress-denied-policy").protocol.kind, "detect");
    const { protocol } = example("egress-denied-tls-policy");
    assert.ok(protocol.kind === "tls");
    assert.deepEqual(protocol.routes[0]?.snis, [{ kind: "suffix", reverseLabels: ["com", "example"] }]);
    assert.deepEqual(protocol.routes[1]?.filters, [{ kind: "forbidden" }]);
  });

  it("of an undefined port forbids it", () => {
    const { protocol } = example("undefined-port-policy");
    assert.ok(protocol.kind === "opaque");
    assert.deepEqual(protocol.opaque?.filters, [{ kind: "forbidden" }]);
    assert.deepEqual(protocol.opaque?.distribution, { kind: "empty" });
  });
});

describe("what a rule leaves out", () => {
  it("means no timeouts, no retries, no say for clients", () => {
    const rule = ruleOf(empty);
    assert.deepEqual(rule.timeouts, { requestMs: undefined, responseMs: undefined, idleMs: undefined });
    assert.equal(rule.retry, undefined);
    assert.equal(rule.allowL5dRequestHeaders, false);
  });

  it("takes the older request timeout only where the newer is absent", () => {
    const requestTimeout = { seconds: 2n };
    assert.equal(ruleOf({ ...empty, requestTimeout }).timeouts.requestMs, 2000);
    assert.equal(ruleOf({ ...empty, requestTimeout, timeouts: {} }).timeouts.requestMs, 2000);
    assert.equal(
      ruleOf({ ...empty, requestTimeout, timeouts: { request: second } }).timeouts.requestMs,
      1000,
    );
  });

  it("fills in the penalty of a penalised balancer", () => {
    const kind = {
      case: "balancer",
      value: { discovery, load: { case: "penaltyPeakEwma", value: {} } },
    } as const;
    const { distribution } = ruleOf(to({ ...backend, kind }));
    assert.ok(distribution.kind === "first_available");
    const dispatcher = distribution.backends[0]?.backend.dispatcher;
    assert.ok(dispatcher?.kind === "balance");
    assert.deepEqual(dispatcher.load, {
      kind: "penalty_peak_ewma",
      defaultRttMs: 30,
      decayMs: 10_000,
      penaltyMs: 5_000,
      maxRetryAfterMs: 300_000,
    });
  });

  it("redirects with 301", () => {
    const rule = ruleOf({ ...empty, filters: [{ kind: { case: "redirect", value: {} } }] });
    assert.deepEqual(rule.filters, [
      { kind: "redirect", scheme: undefined, host: undefined, port: undefined, path: undefined, status: 301 },
    ]);
  });

  it("lets a gRPC match without rpc take every method", () => {
    const policy = valid(
      create(OutboundPolicySchema, {
        metadata,
        protocol: {
          kind: {
            case: "grpc",
            value: {
              routes: [
                {
                  metadata,
                  rules: [
                    {
                      matches: [{}],
                      backends: { kind: { case: "empty", value: {} } },
                      retry: { maxRetries: 1, conditions: { deadineExceeded: true, unavailable: true } },
                    },
                  ],
                },
              ],
            },
          },
        },
      }),
    );
    assert.ok(policy.protocol.kind === "grpc");
    const rule = policy.protocol.grpc.routes[0]?.rules[0];
    assert.deepEqual(rule?.matches, [{ service: undefined, method: undefined, headers: [] }]);
    assert.deepEqual(rule?.retry?.codes, new Set([4, 14]));
  });

  it("rounds the threshold of a breaker and gives it a window", () => {
    const policy = valid(
      policyOf(empty, {
        kind: {
          case: "unified",
          value: { successRateThreshold: 0.800049, backoff: { minBackoff: second, maxBackoff: second } },
        },
      }),
    );
    assert.ok(policy.protocol.kind === "http1");
    assert.deepEqual(policy.protocol.http1.failureAccrual, {
      kind: "unified",
      successRateThreshold: 0.8,
      windowMs: 10_000,
      minRequests: 0,
      maxConsecutiveFailures: 0,
      backoff: { minMs: 1000, maxMs: 1000, jitter: 0 },
    });
  });
});

describe("an outbound policy that cannot be understood", () => {
  const RULE = "^protocol\\.http1\\.routes\\[0\\]\\.rules\\[0\\]\\.";
  const BACKEND = `${RULE}backends\\.first_available\\.backends\\[0\\]\\.backend`;
  const rule = (init: RuleInit) => policyOf({ ...empty, ...init });
  const filter = (kind: NonNullable<RuleInit["filters"]>[number]) => rule({ filters: [kind] });
  const retry = (init: NonNullable<RuleInit["retry"]>) => rule({ retry: init });
  const breaker = (init: MessageInitShape<typeof FailureAccrualSchema>) => policyOf(empty, init);
  const withBackend = (init: BackendInit) => policyOf(to({ ...backend, ...init }));
  const balance = (value: object) => withBackend({ kind: { case: "balancer", value } });
  const resource = (fields: object) =>
    withBackend({
      metadata: {
        kind: {
          case: "resource",
          value: { group: "core", kind: "Service", name: "a", namespace: "b", ...fields },
        },
      },
    });
  const backoff = { minBackoff: second, maxBackoff: second };
  const unified = (value: object) => breaker({ kind: { case: "unified", value: { backoff, ...value } } });

  const cases: readonly (readonly [string, OutboundPolicy, string])[] = [
    ["no metadata", create(OutboundPolicySchema, { protocol: {} }), "^metadata: is missing"],
    ["no protocol", create(OutboundPolicySchema, { metadata }), "^protocol: is missing"],
    [
      "a protocol of unknown kind",
      create(OutboundPolicySchema, { metadata, protocol: {} }),
      "^protocol: has no kind",
    ],
    [
      "a detection without HTTP/2",
      create(OutboundPolicySchema, {
        metadata,
        protocol: { kind: { case: "detect", value: { timeout: second, opaque: {}, http1: {} } } },
      }),
      "^protocol\\.detect\\.http2: is missing",
    ],
    [
      "two opaque routes",
      create(OutboundPolicySchema, {
        metadata,
        protocol: { kind: { case: "opaque", value: { routes: [{}, {}] } } },
      }),
      "^protocol\\.opaque\\.routes: has 2 elements",
    ],
    [
      "a TLS route without a rule",
      create(OutboundPolicySchema, {
        metadata,
        protocol: { kind: { case: "tls", value: { routes: [{ metadata }] } } },
      }),
      "^protocol\\.tls\\.routes\\[0\\]\\.rules: has 0 elements",
    ],
    ["a rule without backends", policyOf({}), `${RULE}backends: is missing`],
    ["a distribution of unknown kind", rule({ backends: {} }), `${RULE}backends: has no kind`],
    [
      "an empty list of backends",
      rule({ backends: { kind: { case: "randomAvailable", value: {} } } }),
      `${RULE}backends\\.random_available\\.backends: is empty`,
    ],
    ["a filter of unknown kind", filter({}), `${RULE}filters\\[0\\]: is of unknown kind`],
    [
      "a status below 100",
      filter({ kind: { case: "failureInjector", value: { status: 99 } } }),
      `${RULE}filters\\[0\\]\\.failure_injector\\.status: 99 is not an HTTP status`,
    ],
    [
      "a ratio above 1",
      filter({
        kind: { case: "failureInjector", value: { status: 500, ratio: { numerator: 2, denominator: 1 } } },
      }),
      `failure_injector\\.ratio: 2/1 is above 1`,
    ],
    [
      "a ratio over 0",
      filter({ kind: { case: "failureInjector", value: { status: 500, ratio: {} } } }),
      "ratio: has the denominator 0",
    ],
    [
      "a redirect to a relative path",
      filter({ kind: { case: "redirect", value: { path: { replace: { case: "full", value: "x" } } } } }),
      `redirect\\.path\\.full: "x" is not a path`,
    ],
    [
      "a redirect that writes a header of its own",
      filter({
        kind: {
          case: "redirect",
          value: { path: { replace: { case: "full", value: "/\r\nset-cookie: a" } } },
        },
      }),
      "redirect\\.path\\.full: ",
    ],
    [
      "a redirect to a host that is none",
      filter({ kind: { case: "redirect", value: { host: "a b" } } }),
      'redirect\\.host: "a b" is not a host',
    ],
    [
      "a redirect to port 65536",
      filter({ kind: { case: "redirect", value: { port: 65_536 } } }),
      "redirect\\.port: 65536 is above",
    ],
    [
      "a modifier with a bad name",
      filter({
        kind: { case: "requestHeaderModifier", value: { remove: ["bad name"] } },
      }),
      'request_header_modifier\\.remove\\[0\\]: "bad name" is not a header name',
    ],
    [
      "a modifier whose value ends the line",
      filter({
        kind: {
          case: "responseHeaderModifier",
          value: { set: { headers: [{ name: "a", value: Buffer.from("b\nc: d") }] } },
        },
      }),
      "response_header_modifier\\.set\\.headers\\[0\\]\\.value: ",
    ],
    ["retries without conditions", retry({ maxRetries: 1 }), `${RULE}retry\\.conditions: is missing`],
    [
      "retries beyond 16 bits",
      retry({ maxRetries: 65_536, conditions: {} }),
      `${RULE}retry\\.max_retries: 65536 is above 65535`,
    ],
    [
      "a status range from 0",
      retry({ conditions: { statusRanges: [{ start: 0, end: 5 }] } }),
      `retry\\.conditions\\.status_ranges\\[0\\]: 0 to 5`,
    ],
    [
      "a status range beyond 599",
      retry({ conditions: { statusRanges: [{ start: 500, end: 600 }] } }),
      "status_ranges\\[0\\]: 500 to 600",
    ],
    [
      "a retry backoff that shrinks",
      retry({ conditions: {}, backoff: { minBackoff: { seconds: 2n }, maxBackoff: second } }),
      "retry\\.backoff\\.max_backoff: is below min_backoff",
    ],
    [
      "a negative timeout",
      rule({ timeouts: { idle: { seconds: -1n } } }),
      `${RULE}timeouts\\.idle: is a negative`,
    ],
    [
      "a backend without metadata",
      policyOf(to({ queue, kind: balancer })),
      `${BACKEND}\\.metadata: is missing`,
    ],
    [
      "a backend without a queue",
      policyOf(to({ metadata, kind: balancer })),
      `${BACKEND}\\.queue: is missing`,
    ],
    [
      "a queue without failfast",
      withBackend({ queue: {} }),
      `${BACKEND}\\.queue\\.failfast_timeout: is missing`,
    ],
    ["a resource without group", resource({ group: "" }), `${BACKEND}\\.metadata\\.resource: has no group`],
    ["a resource without kind", resource({ kind: "" }), "metadata\\.resource: has no kind"],
    ["a resource without name", resource({ name: "" }), "metadata\\.resource: has no name"],
    ["a resource without namespace", resource({ namespace: "" }), "metadata\\.resource: has no namespace"],
    ["a balancer without discovery", balance({ load }), `${BACKEND}\\.balancer\\.discovery: is missing`],
    ["a balancer without a load", balance({ discovery }), `${BACKEND}\\.balancer\\.load: is missing`],
    [
      "a balancer over an address",
      balance({ load, discovery: { kind: { case: "dst", value: { path: "192.0.2.1:80" } } } }),
      `${BACKEND}\\.balancer\\.discovery\\.dst\\.path: "192\\.0\\.2\\.1:80" is an address`,
    ],
    [
      "a balancer over nothing",
      balance({ load, discovery: { kind: { case: "dst", value: { path: "" } } } }),
      `${BACKEND}\\.balancer\\.discovery\\.dst\\.path: `,
    ],
    [
      "a forward to port 0",
      withBackend({ kind: { case: "forward", value: { addr: { ip: { ip: { case: "ipv4", value: 1 } } } } } }),
      `${BACKEND}\\.forward\\.addr: has no address or port`,
    ],
    ["a breaker of unknown kind", breaker({}), "^protocol\\.http1\\.failure_accrual: has no kind"],
    [
      "a breaker without backoff",
      breaker({ kind: { case: "consecutiveFailures", value: { maxFailures: 1 } } }),
      "failure_accrual\\.consecutive_failures\\.backoff: is missing",
    ],
    [
      "a breaker above 1",
      unified({ successRateThreshold: 1.1 }),
      "unified\\.success_rate_threshold: 1\\.1 is not",
    ],
    [
      "a breaker at NaN",
      unified({ successRateThreshold: Number.NaN }),
      "unified\\.success_rate_threshold: NaN is not",
    ],
    [
      "a breaker with a short window",
      unified({ successRateThreshold: 0.5, decay: { nanos: 9_000_000 } }),
      "unified\\.decay: 9ms is below 10ms",
    ],
    [
      "a breaker that waits for too many",
      unified({ minRequests: 1_000_001 }),
      "unified\\.min_requests: 1000001",
    ],
    [
      "a breaker with a wild jitter",
      unified({ backoff: { ...backoff, jitterRatio: 101 } }),
      "unified\\.backoff\\.jitter_ratio: 101",
    ],
  ];
  for (const [name, message, expected] of cases) {
    it(`for ${name} is a problem that names the field`, () => {
      assert.match(problem(message), new RegExp(expected));
    });
  }

  it("is replaced by one that fails every request and every connection", () => {
    const { parent, protocol } = invalidClientPolicy(5000);
    assert.deepEqual(parent, { kind: "default", name: "invalid" });
    assert.ok(protocol.kind === "detect");
    for (const { routes } of [protocol.http1, protocol.http2]) {
      assert.equal(routes[0]?.rules[0]?.filters[0]?.kind, "internal_error");
    }
    assert.equal(protocol.opaque?.filters[0]?.kind, "internal_error");
  });

  it("never throws, whatever bytes of a real message are changed", () => {
    const bytes = toBinary(OutboundPolicySchema, fixture(OutboundPolicySchema, "canary-policy"));
    const change = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255));
    let decoded = 0;
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const changed = Uint8Array.from(bytes);
        for (const [at, byte] of changes) changed[at] = byte;
        let message: OutboundPolicy;
        try {
          message = fromBinary(OutboundPolicySchema, changed);
        } catch {
          // Not protobuf any more: grpc-js ends the stream.
          return;
        }
        decoded++;
        clientPolicyFromProto(message, 5000);
      }),
      { numRuns: 500 },
    );
    assert.ok(decoded > 50, `only ${decoded} messages could be decoded`);
  });
});
