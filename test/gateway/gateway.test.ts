/** The gateway between an inbound listener and a scripted control plane: who is let in, what is looked up, where it goes. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as h2Connect } from "node:http2";
import { type Socket } from "node:net";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import type { Addr } from "../../src/addr/name-addr.ts";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { OutboundGateway } from "../../src/gateway/gateway.ts";
import type { Families } from "../../src/metrics/families.ts";
import { tcpRouteLabels, withLast } from "../../src/metrics/labels.ts";
import { TargetCache, type OutboundContext } from "../../src/outbound/context.ts";
import type { TargetContext } from "../../src/outbound/target-stack.ts";
import type { ClientPolicy, Profile } from "../../src/policy/client-policy.ts";
import { opaqueServerPolicy } from "../../src/policy/default-policies.ts";
import { metaDefault } from "../../src/policy/meta.ts";
import { ConcurrencyLimit } from "../../src/stack/concurrency-limit.ts";
import { Drain } from "../../src/stack/drain.ts";
import { systemClock } from "../../src/time/clock.ts";
import { unavailable } from "../../src/transport/orig-dst/unavailable.ts";
import { TransportMetrics } from "../../src/transport/transport-metrics.ts";
import { WatchCell, type Watch } from "../../src/watch/watch.ts";
import { encodeTransportHeader } from "../../src/wire/transport-header.ts";
import { CLIENT, DENY, DirectLab, MESHED, OPEN, type Peer } from "../inbound/direct-lab.ts";
import { detect, Peer as Server, PARENT, until, WrittenControlPlane } from "../outbound/listening.ts";
import { name, scriptedContext } from "../outbound/scripted.ts";
import { sum } from "../socket/pair.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { unwrap, WEB } from "../tls/mesh-peer.ts";

const TARGET = "shop.svc.cluster.local";
const GET = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/** Says what was written down about profiles too, and remembers who asked for one. */
class Control extends WrittenControlPlane {
  readonly profilesAsked: string[] = [];
  /** Names of which no profile ever comes. */
  readonly silent = new Set<string>();
  /** Those of them that are said not to exist. */
  readonly unknown = new Set<string>();
  /** Profiles of names that take their time. */
  readonly late = new Map<string, Promise<Watch<Profile>>>();

  override watchProfile(
    target?: Addr,
    _signal?: AbortSignal,
    onUnknown?: () => void,
  ): Promise<Watch<Profile> | undefined> {
    const text = target?.kind === "name" ? target.name.name : "";
    this.profilesAsked.push(text);
    if (this.unknown.has(text)) onUnknown?.();
    if (this.silent.has(text)) return new Promise(() => {});
    return this.late.get(text) ?? super.watchProfile(target);
  }
}

const NOTHING_SAID: Profile = {
  logical: undefined,
  opaqueProtocol: false,
  endpoint: undefined,
  routes: [],
  targets: [],
  retryBudget: undefined,
};

describe("a gateway", { timeout: 30_000 }, () => {
  const control = new Control();
  let lab: DirectLab;
  let gateway: OutboundGateway;
  /** A server in this cluster that answers requests, and another. */
  let byProfile: Server;
  let byPolicy: Server;
  let families: Families;
  const closers: (() => void)[] = [];

  before(async () => {
    const suite = { after: (f: () => void) => void closers.push(f) };
    const answer = (text: string) => (conversation: { socket: Socket }) => {
      conversation.socket.on("data", () => conversation.socket.write(text));
    };
    byProfile = await Server.start(suite, answer(OK));
    byPolicy = await Server.start(suite, answer("bytes"));
    const shared = {
      ...scriptedContext(systemClock, control),
      httpFailfastTimeoutMs: 40,
      tcpFailfastTimeoutMs: 40,
    };
    ({ families } = shared);
    gateway = gatewayOf(shared);
    lab = await DirectLab.start({ gateway });
  });
  after(() => {
    gateway.close();
    lab.close();
    for (const close of closers) close();
  });
  beforeEach(() => {
    lab.setPolicy(lab.port, MESHED);
    control.asked.length = 0;
    control.profilesAsked.length = 0;
  });
  const open: Peer[] = [];
  afterEach(() => {
    for (const { socket } of open.splice(0)) socket.destroy();
  });

  let names = 0;
  /** A name of its own for each test, which nobody has looked up yet. */
  const fresh = (): string => `web-${names++}.${TARGET}`;
  const say = (host: string, profile: Partial<Profile>): void => {
    control.profiles.set(`${host}:80`, new WatchCell<Profile>({ ...NOTHING_SAID, ...profile }));
  };
  const givePolicy = (host: string): void => {
    const policy = new WatchCell<ClientPolicy>({ parent: PARENT, protocol: detect(byPolicy.backend) });
    control.policies.set(`${host}:80`, policy);
  };
  const dial = (
    host: string,
    sessionProtocol: "http1" | "http2" | undefined,
    more: Buffer | string = "",
    to = lab,
  ): Peer => {
    const header = encodeTransportHeader({ port: 80, name: unwrap(parseDnsName(host)), sessionProtocol });
    const peer = to.dial().send(header, more);
    open.push(peer);
    return peer;
  };
  const answered = (peer: Peer, pattern: RegExp): Promise<void> =>
    until(`${pattern} in ${JSON.stringify(peer.text)}`, () => pattern.test(peer.text));
  const counted = async (metric: string, labels: Record<string, string>): Promise<number> =>
    sum(await lab.page(), metric, labels);

  test("inbound 4.5: HTTP goes by the profile, bytes by the client policy", async () => {
    control.endpoints = [byProfile.endpoint];
    const [named, pod] = [fresh(), fresh()];
    say(named, { logical: name(`${named}:80`) });
    say(pod, { endpoint: byProfile.endpoint });
    for (const host of [named, pod]) {
      givePolicy(host);
      await answered(dial(host, "http1", GET), /^HTTP\/1\.1 200 OK/);
      await answered(dial(host, undefined, "hello"), /^bytes/);
    }
    assert.deepEqual(control.asked, [`${named}:80`, `${pod}:80`]);
  });

  test("inbound 4.5: without a policy both go to the endpoint that the profile has", async () => {
    const host = fresh();
    say(host, { endpoint: byProfile.endpoint });
    await answered(dial(host, "http1", GET), /^HTTP\/1\.1 200 OK/);
    await answered(dial(host, undefined, "hello"), /^HTTP\/1\.1 200 OK/);
  });

  test("inbound 4.5: without a policy, and a profile that has no endpoint, bytes go nowhere", async () => {
    const host = fresh();
    say(host, { logical: name(`${host}:80`) });
    control.endpoints = [byProfile.endpoint];
    assert.equal(await dial(host, undefined, "hello").closed(), "");
    await answered(dial(host, "http1", GET), /^HTTP\/1\.1 200 OK/);
  });

  test("inbound 4.5: a profile that says nothing is a 404; without any profile nothing goes anywhere", async () => {
    const accepted = byPolicy.accepted.length;
    const empty = fresh();
    say(empty, {});
    const unknown = fresh();
    for (const host of [empty, unknown]) {
      givePolicy(host);
      await answered(dial(host, "http1", GET), /^HTTP\/1\.1 404 Not Found/);
    }
    assert.equal(await dial(unknown, undefined, "hello").closed(), "");
    assert.equal(byPolicy.accepted.length, accepted);
  });

  test("a target that was not there is asked for again by the next request of the connection", async () => {
    const host = fresh();
    const peer = dial(host, "http1", GET);
    await answered(peer, /^HTTP\/1\.1 404 Not Found/);
    say(host, { endpoint: byProfile.endpoint });
    peer.text = "";
    peer.send(GET);
    await answered(peer, /^HTTP\/1\.1 200 OK/);
    assert.equal(control.profilesAsked.length, 2);
  });

  test("while the control plane says nothing, requests are a 504 in bounded time and bytes are closed", async () => {
    const known = fresh();
    givePolicy(known);
    const host = fresh();
    for (const silent of [known, host]) control.silent.add(silent);
    assert.equal(await dial(known, undefined, "hello").closed(), "");
    assert.match(
      await dial(host, "http1", GET).closed(),
      /^HTTP\/1\.1 504 Gateway Timeout[^]*did not answer in 40ms/,
    );
    assert.equal(await dial(host, undefined, "hello").closed(), "");
  });

  test("a profile that does not come is a 404 only if the control plane says that there is no such service", async (t) => {
    const clock = new FakeClock();
    const patient = gatewayOf({ ...scriptedContext(clock, control), httpFailfastTimeoutMs: 3_000 });
    const patientLab = await DirectLab.start({ gateway: patient });
    patientLab.setPolicy(patientLab.port, MESHED);
    t.after(() => {
      patient.close();
      patientLab.close();
    });
    const [late, never, neither, unknown] = [fresh(), fresh(), fresh(), fresh()];
    const coming = Promise.withResolvers<Watch<Profile>>();
    control.late.set(late, coming.promise);
    for (const silent of [never, neither, unknown]) control.silent.add(silent);
    control.unknown.add(unknown);
    // Controllers have policies for Services that do not exist.
    for (const host of [late, never, unknown]) givePolicy(host);
    const peerOf = (host: string): Peer => dial(host, "http1", GET, patientLab);
    const [found, lost, lostToo, refused] = [peerOf(late), peerOf(never), peerOf(neither), peerOf(unknown)];
    await until("all of them wait", () => clock.timers === 8);
    clock.advance(1_000);
    await answered(refused, /^HTTP\/1\.1 404 Not Found/);
    assert.deepEqual([found.text, lost.text, lostToo.text], ["", "", ""]);
    control.endpoints = [byProfile.endpoint];
    coming.resolve(new WatchCell<Profile>({ ...NOTHING_SAID, logical: name(`${late}:80`) }));
    await answered(found, /^HTTP\/1\.1 200 OK/);
    clock.advance(2_000);
    for (const peer of [lost, lostToo]) {
      assert.match(await peer.closed(), /^HTTP\/1\.1 504 Gateway Timeout[^]*did not answer in 3000ms/);
    }
  });

  test("invariant 22: who is not let in makes nobody look anything up", async () => {
    const host = fresh();
    const before = await counted("inbound_tcp_authz_deny_total", { client_id: CLIENT });
    lab.setPolicy(lab.port, { ...MESHED, authorizations: [], protocol: nobody() });
    await answered(dial(host, "http1", GET), /^HTTP\/1\.1 403 Forbidden/);
    lab.setPolicy(lab.port, DENY);
    await answered(dial(host, "http1", GET), /^HTTP\/1\.1 404 Not Found/);
    assert.equal(await dial(host, undefined, "hello").closed(), "");
    assert.deepEqual(control.asked, []);
    assert.deepEqual(control.profilesAsked, []);
    assert.equal(await counted("inbound_tcp_authz_deny_total", { client_id: CLIENT }), before + 1);
  });

  test("invariant 22: the next request, and a connection of bytes, feel a change of the policy at once", async () => {
    const host = fresh();
    say(host, { endpoint: byProfile.endpoint });
    const http = dial(host, "http1", GET);
    const bytes = dial(host, undefined, "hello");
    await answered(http, /^HTTP\/1\.1 200 OK/);
    await answered(bytes, /^HTTP\/1\.1 200 OK/);
    lab.setPolicy(lab.port, { ...MESHED, authorizations: [], protocol: nobody() });
    await bytes.closed();
    http.text = "";
    http.send(GET);
    await answered(http, /^HTTP\/1\.1 403 Forbidden/);
  });

  test("config-admin-metrics 7.4: the route counts a connection of bytes by how it ended", async () => {
    const host = fresh();
    say(host, {});
    givePolicy(host);
    const labels = tcpRouteLabels(PARENT, metaDefault("opaque"), "", 80);
    const closed = (error: string): number =>
      families.outboundTcpRouteCloseTotal.cell(withLast(labels, "error", error)).value;
    const ends: readonly (readonly [string, string, (peer: Peer) => void])[] = [
      ["the client ends it", "", ({ socket }) => void socket.end()],
      ["the server ends it", "", () => void byPolicy.accepted.at(-1)?.socket.end()],
      [
        "the server breaks it off",
        "unexpected",
        () => void byPolicy.accepted.at(-1)?.socket.resetAndDestroy(),
      ],
      ["a new policy forbids it", "unexpected", () => lab.setPolicy(lab.port, DENY)],
    ];
    for (const [how, error, end] of ends) {
      const before = { [error]: closed(error), other: closed(error === "" ? "unexpected" : "") };
      const peer = dial(host, undefined, "hello");
      await answered(peer, /^bytes/);
      end(peer);
      await until(`it is counted that ${how}`, () => closed(error) === (before[error] ?? 0) + 1);
      assert.equal(closed(error === "" ? "unexpected" : ""), before.other, how);
    }
    assert.equal(closed("forbidden"), 0);
  });

  test("bytes do not pass where the policy of the port knows HTTP alone, nor HTTP where it knows none", async () => {
    const host = fresh();
    say(host, { endpoint: byProfile.endpoint });
    lab.setPolicy(lab.port, { ...OPEN, protocol: { kind: "http1", routes: [], rateLimit: undefined } });
    assert.equal(await dial(host, undefined, "hello").closed(), "");
    lab.setPolicy(lab.port, opaqueServerPolicy(OPEN));
    await answered(dial(host, "http1", GET), /^HTTP\/1\.1 404 Not Found/);
    await answered(dial(host, undefined, "hello"), /^HTTP\/1\.1 200 OK/);
  });

  test("inbound 7.5: over HTTP/2 a refused name is 404 or status 5, a loop 508 or status 10", async () => {
    const session = async (host: string) => {
      const header = encodeTransportHeader({
        port: 80,
        name: unwrap(parseDnsName(host)),
        sessionProtocol: "http2",
      });
      const peer = lab.dial();
      // A session of Node's must not meet a write of somebody else's.
      await new Promise((resolve) => peer.socket.write(header, resolve));
      open.push(peer);
      const client = h2Connect("http://web", { createConnection: () => peer.socket });
      client.on("error", () => {});
      const ask = async (headers: Record<string, string>) => {
        const stream = client.request({ ":path": "/", ...headers });
        stream.resume();
        const [answer] = (await once(stream, "response")) as [Record<string, string | number>];
        return [answer[":status"], answer["grpc-status"]];
      };
      return { client, ask };
    };
    const grpc = { "content-type": "application/grpc" };
    const refused = await session("example.org");
    assert.deepEqual(await refused.ask({}), [404, undefined]);
    assert.deepEqual(await refused.ask(grpc), [200, "5"]);
    refused.client.destroy();
    const loop = { forwarded: `by=${WEB}` };
    for (const [headers, expected] of [
      [loop, [508, undefined]],
      [{ ...loop, ...grpc }, [200, "10"]],
    ] as const) {
      const looping = await session(fresh());
      assert.deepEqual(await looping.ask(headers), expected);
      looping.client.destroy();
    }
  });
});

function gatewayOf(shared: TargetContext): OutboundGateway {
  const context: OutboundContext = {
    ...shared,
    transportMetrics: new TransportMetrics(shared.families),
    origDst: unavailable("not asked"),
    drain: new Drain(),
    targets: new TargetCache(shared, 10),
    dialsAhead: new ConcurrencyLimit(1),
    options: { detectTimeoutMs: 1_000, http2Server: {}, ingressMode: false, dialAheadAfterMs: undefined },
  };
  return new OutboundGateway(context, { suffixes: [`${TARGET}.`], localId: WEB, idleTimeoutMs: 10 });
}

/** One route, for nobody. */
function nobody() {
  const { protocol } = OPEN;
  assert.ok(protocol.kind === "detect");
  return { ...protocol, routes: protocol.routes.map((route) => ({ ...route, authorizations: [] })) };
}
