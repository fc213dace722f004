import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { parseSocketAddr } from "../../../src/addr/socket-addr.ts";
import { tapEventToProto } from "../../../src/control/convert/tap-event.ts";
import { tapRequestFromProto } from "../../../src/control/convert/tap-request.ts";
import { HttpMethod_Registered, Scheme_Registered } from "../../../src/proto/gen/http_types_pb.js";
import {
  ObserveRequestSchema,
  TapEventSchema,
  type ObserveRequest_ExtractSchema,
  type ObserveRequest_MatchSchema,
  type TapEvent_Http,
} from "../../../src/proto/gen/tap_pb.js";
import type { TapEvent, TapStep } from "../../../src/tap/event.ts";
import type { TapMatch } from "../../../src/tap/match.ts";
import { headerField, headerName } from "../../../src/wire/header-field.ts";

type Match = MessageInitShape<typeof ObserveRequest_MatchSchema>;
const asked = (init: MessageInitShape<typeof ObserveRequestSchema>) =>
  tapRequestFromProto(create(ObserveRequestSchema, init));

function read(match: Match): TapMatch {
  const result = asked({ limit: 1, match });
  assert.ok(result.ok, result.ok ? "" : result.problem);
  return result.value.match;
}
function problem(match: Match | undefined): string {
  const result = asked(match === undefined ? { limit: 1 } : { limit: 1, match });
  assert.ok(!result.ok);
  return result.problem;
}

const all = (...matches: Match[]): Match => ({ match: { case: "all", value: { matches } } });
const not = (value: Match): Match => ({ match: { case: "not", value } });
const ports = (min: number, max: number): Match => ({
  match: { case: "source", value: { match: { case: "ports", value: { min, max } } } },
});
const netmask = (mask: number, ip = 0xc000_0200): Match => ({
  match: {
    case: "destination",
    value: { match: { case: "netmask", value: { ip: { ip: { case: "ipv4", value: ip } }, mask } } },
  },
});
const label = (kind: "destinationLabel" | "routeLabel", key: string, value: string): Match => ({
  match: { case: kind, value: { key, value } },
});
type Http = Extract<NonNullable<Match["match"]>, { case: "http" }>["value"]["match"];
const http = (match: NonNullable<Http>): Match => ({ match: { case: "http", value: { match } } });
const EMPTY: Match = {};

describe("inbound 9.1: what an observer asks for", () => {
  it("reads every kind of test", () => {
    assert.deepEqual(read(all()), { kind: "all", of: [] });
    assert.deepEqual(read(not(all())), { kind: "not", of: { kind: "all", of: [] } });
    assert.deepEqual(read(ports(80, 90)), { kind: "source", addr: { kind: "ports", low: 80, high: 90 } });
    const network = read(netmask(24));
    assert.ok(network.kind === "destination" && network.addr.kind === "network");
    assert.deepEqual([network.addr.network.ip.text, network.addr.network.prefix], ["192.0.2.0", 24]);
    assert.deepEqual(read(label("destinationLabel", "a", "b")), {
      kind: "destination_label",
      name: "a",
      value: "b",
    });
    assert.deepEqual(read(label("routeLabel", "a", "b")), { kind: "route_label", name: "a", value: "b" });
    assert.deepEqual(read(http({ case: "path", value: { match: { case: "prefix", value: "/a" } } })), {
      kind: "path",
      text: { kind: "prefix", text: "/a" },
    });
    assert.deepEqual(read(http({ case: "authority", value: { match: { case: "exact", value: "a" } } })), {
      kind: "authority",
      text: { kind: "exact", text: "a" },
    });
    assert.deepEqual(
      read(
        http({ case: "method", value: { type: { case: "registered", value: HttpMethod_Registered.POST } } }),
      ),
      {
        kind: "method",
        method: "POST",
      },
    );
    assert.deepEqual(
      read(http({ case: "scheme", value: { type: { case: "registered", value: Scheme_Registered.HTTPS } } })),
      {
        kind: "scheme",
        scheme: "https",
      },
    );
    assert.deepEqual(read(http({ case: "scheme", value: { type: { case: "unregistered", value: "WS" } } })), {
      kind: "scheme",
      scheme: "ws",
    });
  });

  it("takes a range with one end for that port", () => {
    assert.deepEqual(read(ports(80, 0)), { kind: "source", addr: { kind: "ports", low: 80, high: 80 } });
    assert.deepEqual(read(ports(0, 80)), { kind: "source", addr: { kind: "ports", low: 80, high: 80 } });
  });

  it("leaves out members that say nothing", () => {
    assert.deepEqual(read(all(EMPTY, all(), EMPTY)), { kind: "all", of: [{ kind: "all", of: [] }] });
  });

  it("asks for headers only where the message says so", () => {
    const headers = (extract?: MessageInitShape<typeof ObserveRequest_ExtractSchema>): boolean => {
      const result = asked({ limit: 1, match: all(), ...(extract === undefined ? {} : { extract }) });
      assert.ok(result.ok);
      return result.value.headers;
    };
    assert.equal(headers(), false);
    assert.equal(headers({}), false);
    assert.equal(headers({ extract: { case: "http", value: {} } }), false);
    assert.equal(
      headers({ extract: { case: "http", value: { extract: { case: "headers", value: {} } } } }),
      true,
    );
  });

  const cases: readonly (readonly [string, Match | undefined])[] = [
    ["match: is missing", undefined],
    ["match: is missing", EMPTY],
    ["match.not: is missing", not(EMPTY)],
    ["match.all.matches[1].source.ports: has neither min nor max", all(EMPTY, ports(0, 0))],
    ["match.source.ports: 65536 is not a port", ports(1, 65_536)],
    ["match.source.ports: min 90 is above max 80", ports(90, 80)],
    ["match.source: is missing", { match: { case: "source", value: {} } }],
    ["match.destination.netmask: mask is missing", netmask(0)],
    ["match.destination.netmask: mask 33 is more than 32 bits", netmask(33)],
    [
      "match.destination.netmask.ip: is missing",
      { match: { case: "destination", value: { match: { case: "netmask", value: { mask: 8 } } } } },
    ],
    ["match.destination_label.key: is missing", label("destinationLabel", "", "b")],
    ["match.route_label.value: is missing", label("routeLabel", "a", "")],
    ["match.http: is missing", http({ case: undefined })],
    [
      'match.http.method: "a b" is not a method',
      http({ case: "method", value: { type: { case: "unregistered", value: "a b" } } }),
    ],
    ["match.http.method: has no method", http({ case: "method", value: {} })],
    [
      'match.http.scheme: "1" is not a scheme',
      http({ case: "scheme", value: { type: { case: "unregistered", value: "1" } } }),
    ],
    ["match.http.scheme: is missing", http({ case: "scheme", value: {} })],
    ["match.http.path: is missing", http({ case: "path", value: {} })],
  ];
  for (const [expected, match] of cases) {
    it(`refuses, saying what and where: ${expected}`, () => assert.equal(problem(match), expected));
  }

  it("refuses a limit of nothing before all else", () => {
    const result = asked({ limit: 0 });
    assert.ok(!result.ok);
    assert.equal(result.problem, "limit must be positive");
  });

  it("takes any other limit", () => {
    const result = asked({ limit: 0xffff_ffff, match: all() });
    assert.ok(result.ok);
    assert.equal(result.value.limit, 0xffff_ffff);
  });

  it("refuses what is nested too deep or asks too much of each request", () => {
    let deep = all();
    for (let i = 0; i < 40; i++) deep = not(deep);
    assert.match(problem(deep), /: is nested deeper than 32 levels$/);
    const wide = all(...Array.from({ length: 300 }, () => all()));
    assert.match(problem(wide), /^match\.all\.matches\[255\]: is one of more than 256 tests$/);
  });
});

type Step = TapEvent_Http["event"] | undefined;

describe("inbound 9.1: an event on its way to the observer", () => {
  const addr = (text: string) => {
    const parsed = parseSocketAddr(text);
    assert.ok(parsed.ok);
    return parsed.value;
  };
  const event = (step: TapStep, request: Partial<TapEvent["request"]> = {}): TapEvent => ({
    id: { tap: 3, request: 4 },
    request: {
      direction: "outbound",
      source: addr("192.0.2.1:4711"),
      sourceLabels: [["tls", "loopback"]],
      destination: addr("[2001:db8::1]:80"),
      destinationLabels: [
        ["service", "web"],
        ["__proto__", "x"],
      ],
      routeLabels: undefined,
      ...request,
    },
    step,
  });
  /** As the observer reads it. */
  const sent = (from: TapEvent) =>
    fromBinary(TapEventSchema, toBinary(TapEventSchema, tapEventToProto(from)));
  const END: TapStep = {
    kind: "response_end",
    sinceRequestMs: 1_500.25,
    sinceResponseMs: 0.000_001,
    responseBytes: 2 ** 40,
    end: { kind: "plain" },
    trailers: undefined,
  };

  it("tells who speaks to whom", () => {
    const { source, destination, sourceMeta, destinationMeta, routeMeta, proxyDirection } = sent(event(END));
    assert.deepEqual([source?.ip?.ip, source?.port], [{ case: "ipv4", value: 0xc000_0201 }, 4711]);
    assert.deepEqual([destination?.ip?.ip.case, destination?.port], ["ipv6", 80]);
    assert.deepEqual(sourceMeta?.labels, { tls: "loopback" });
    assert.deepEqual(Object.entries(destinationMeta?.labels ?? {}), [
      ["service", "web"],
      ["__proto__", "x"],
    ]);
    assert.equal(routeMeta, undefined);
    assert.equal(proxyDirection, 2);
    const other = sent(event(END, { source: undefined, routeLabels: [["a", "b"]], direction: "inbound" }));
    assert.deepEqual(
      [other.source, other.routeMeta?.labels, other.proxyDirection],
      [undefined, { a: "b" }, 1],
    );
  });

  it("tells times to the nanosecond and bytes beyond 32 bits", () => {
    const step = sent(event(END)).event.value?.event;
    assert.ok(step?.case === "responseEnd");
    const { id, sinceRequestInit, sinceResponseInit, responseBytes, eos, trailers } = step.value;
    assert.deepEqual([id?.base, id?.stream], [3, 4n]);
    assert.deepEqual([sinceRequestInit?.seconds, sinceRequestInit?.nanos], [1n, 500_250_000]);
    assert.deepEqual([sinceResponseInit?.seconds, sinceResponseInit?.nanos], [0n, 1]);
    assert.equal(responseBytes, 2n ** 40n);
    assert.deepEqual([eos?.end.case, trailers], [undefined, undefined]);
  });

  it("tells how a response ended", () => {
    for (const [end, expected] of [
      [
        { kind: "grpc", status: 0 },
        { case: "grpcStatusCode", value: 0 },
      ],
      [
        { kind: "reset", code: 8 },
        { case: "resetErrorCode", value: 8 },
      ],
      [{ kind: "plain" }, { case: undefined }],
    ] as const) {
      const step: Step = sent(event({ ...END, end, sinceResponseMs: undefined })).event.value?.event;
      assert.ok(step?.case === "responseEnd");
      assert.deepEqual(step.value.eos?.end, expected);
      assert.equal(step.value.sinceResponseInit, undefined);
    }
  });

  it("carries whatever bytes a request has", () => {
    const bytes = "\xff\xc3\xa9\x00";
    const step = sent(
      event({
        kind: "request_init",
        method: "BREW",
        scheme: "coffee",
        authority: bytes,
        path: "/\xe9",
        headers: [headerField(headerName("x"), bytes)],
      }),
    ).event.value?.event;
    assert.ok(step?.case === "requestInit");
    const { method, scheme, headers, authority } = step.value;
    assert.deepEqual(method?.type, { case: "unregistered", value: "BREW" });
    assert.deepEqual(scheme?.type, { case: "unregistered", value: "coffee" });
    assert.equal(Buffer.from(headers?.headers[0]?.value ?? []).toString("latin1"), bytes);
    assert.equal(authority, "\u{fffd}é\0");
  });
});
