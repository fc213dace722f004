/** Invariants 20, 21 and 31, and section 4 of the inbound specification: connections that peers make to our own port. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { opaqueServerPolicy } from "../../../src/policy/default-policies.ts";
import type { ServerPolicy } from "../../../src/policy/server-policy.ts";
import { encodeTransportHeader } from "../../../src/wire/transport-header.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { OPENSSL_MISSING, OpensslPeer, ScratchDir } from "../../support/openssl.ts";
import { DB, WEB } from "../../tls/mesh-peer.ts";
import { addr } from "../../outbound/scripted.ts";
import { sum, until } from "../../socket/pair.ts";
import { CLIENT, DENY, DirectLab, MESHED, OPEN, type DialOptions } from "../direct-lab.ts";

const PREFACE = Buffer.from("transport.l5d.io/v1\r\n\r\n");
const GET = "GET / HTTP/1.1\r\nhost: web\r\n\r\n";

function header(port: number, sessionProtocol?: "http1" | "http2"): Buffer {
  return encodeTransportHeader({ port, name: undefined, sessionProtocol });
}

/** A header whose message is written by hand. */
function raw(message: readonly number[], length = message.length): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(length);
  return Buffer.concat([PREFACE, size, Buffer.from(message)]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return [...bytes, rest];
}

const portOf = (port: number): number[] => [0x08, ...varint(port)];
const nameOf = (bytes: Buffer): number[] => [0x12, ...varint(bytes.length), ...bytes];

describe("connections to the proxy's own port", { timeout: 30_000 }, () => {
  let lab: DirectLab;

  before(async () => (lab = await DirectLab.start({ detectTimeoutMs: 2_000 })));
  after(() => lab.close());
  beforeEach(() => {
    lab.origDst = undefined;
    lab.reached.length = 0;
    lab.logged.length = 0;
    lab.setPolicy(lab.appPort, MESHED);
  });

  const counted = async (name: string, labels: Record<string, string> = {}): Promise<number> =>
    sum(await lab.page(), name, labels);

  /** Nothing came back and nothing reached the application; the log says why, and the error is counted. */
  const refused = async (text: string, why: RegExp): Promise<void> => {
    assert.equal(text, "");
    await until(`${why} in the log: ${lab.logged.join("; ")}`, () =>
      lab.logged.some((line) => why.test(line)),
    );
    assert.equal(lab.reached.length, 0);
  };

  describe("invariant 20, ranked 10: an opaque port that asks for mesh identity", () => {
    beforeEach(() => lab.setPolicy(lab.appPort, opaqueServerPolicy(MESHED)));
    const atApplication = (): void => {
      lab.origDst = addr(`127.0.0.1:${lab.appPort}`);
    };

    test("refuses mesh TLS to the port itself, where nobody looks for it", async () => {
      atApplication();
      await refused(await lab.dial({ alpn: [] }).send("hello").closed(), /Connection denied/);
    });

    test("refuses clear text to the port itself", async () => {
      atApplication();
      await refused(await lab.dialInClear().send("hello").closed(), /Connection denied/);
    });

    test("admits a peer that comes by the transport header, and knows who it is", async () => {
      const peer = lab.dial().send(header(lab.appPort), "hello");
      await until("the echo", () => peer.text === "hello");
      const labels = { client_id: CLIENT, target_port: String(lab.appPort) };
      assert.equal(await counted("inbound_tcp_authz_allow_total", labels), 1);
      const told = { ...labels, session_protocol: "", target_name: "" };
      assert.ok((await counted("inbound_tcp_transport_header_connections_total", told)) > 0);
      peer.socket.destroy();
    });
  });

  describe("invariant 21, ranked 10: the direct path needs identity, ALPN and header", () => {
    const MISSING: readonly (readonly [what: string, options: DialOptions | "clear", why: RegExp])[] = [
      ["TLS", "clear", /direct connections must be mutually authenticated/],
      ["our server name", { sni: DB }, /direct connections must be mutually authenticated/],
      ["a client certificate", { anonymous: true }, /direct connections must be mutually authenticated/],
      ["ALPN", { alpn: [] }, /direct connections require transport header negotiation/],
    ];
    for (const [what, options, why] of MISSING) {
      test(`without ${what} a connection is closed`, async () => {
        const before = await counted("inbound_tcp_errors_total", { error: "unexpected" });
        const peer = options === "clear" ? lab.dialInClear() : lab.dial(options);
        await refused(await peer.send(header(lab.appPort), "hello").closed(), why);
        assert.equal(await counted("inbound_tcp_errors_total", { error: "unexpected" }), before + 1);
      });
    }

    test("with foreign ALPN alone a connection gets the alert for it", async () => {
      const peer = lab.dial({ alpn: ["h2", "http/1.1"] });
      await refused(await peer.closed(), /no suitable application protocol|no application protocol/i);
      assert.match(peer.error ?? "", /no application protocol/i);
    });

    const BAD: readonly (readonly [what: string, bytes: () => Buffer, why: RegExp])[] = [
      ["no header", () => Buffer.from(GET), /does not begin with a transport header/],
      ["no length", () => PREFACE, /closed before its transport header was complete/],
      ["an empty message", () => raw([]), /0 is not a port/],
      ["port 0", () => raw(portOf(0)), /0 is not a port/],
      ["port 65536", () => raw(portOf(65_536)), /65536 is not a port/],
      [
        "port -1",
        () => raw([0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        /-1 is not a port/,
      ],
      ["a message of 4 GiB", () => raw(portOf(80), 0xffffffff), /4294967295 bytes is above the bound/],
      ["a message above the buffer", () => raw(portOf(80), 65_536 - 26), /is above the bound of 65536/],
      ["a message cut off", () => raw(portOf(80), 8), /closed before its transport header was complete/],
      ["garbage for a message", () => raw([0xff, 0xff, 0xff]), /malformed/],
      ["a name that is none", () => raw([...portOf(80), ...nameOf(Buffer.from("-a b"))]), /not a DNS name/],
      [
        "a name that is no text",
        () => raw([...portOf(80), ...nameOf(Buffer.from([0xff, 0xfe]))]),
        /not a DNS name/,
      ],
      [
        "a name of 300 bytes",
        () => raw([...portOf(80), ...nameOf(Buffer.from("a.".repeat(149) + "aa"))]),
        /not a DNS name/,
      ],
      [
        "a name, although we are no gateway",
        () => raw([...portOf(80), ...nameOf(Buffer.from("web.shop.svc.cluster.local"))]),
        /no gateway to web\.shop/,
      ],
    ];
    for (const [what, bytes, why] of BAD) {
      test(`DT-04: ${what} closes the connection`, async () => {
        const peer = lab.dial().send(bytes());
        peer.socket.end();
        await refused(await peer.closed(), why);
      });
    }

    test("a name is counted, and refused as outside of the gateway's domain", async () => {
      const labels = { target_name: "web.shop.svc.cluster.local", client_id: CLIENT };
      assert.equal(await counted("inbound_tcp_transport_header_connections_total", labels), 1);
      assert.equal(await counted("inbound_tcp_errors_total", { error: "gateway domain invalid" }), 1);
    });

    test("DT-03: a header is understood wherever it is cut, and what follows belongs to the application", async () => {
      const peer = lab.dial();
      peer.socket.setNoDelay(true);
      for (const byte of header(lab.appPort)) {
        peer.socket.write(Buffer.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
      peer.send("hello");
      await until("the echo", () => peer.text === "hello");
      peer.socket.destroy();
    });

    test("DT-04: fields that nobody knows are passed over", async () => {
      const message = [...portOf(lab.appPort), 0x7a, 0x03, 1, 2, 3, 0x1a, 0x00, 0x12, 0x00];
      const peer = lab.dial().send(raw(message), "hello");
      await until("the echo", () => peer.text === "hello");
      peer.socket.destroy();
    });
  });

  describe("inbound 4.4: what the header asks for", () => {
    test("HTTP goes to the port that it names under that port's policy, in the version that it says", async () => {
      const peer = lab.dial().send(header(lab.appPort, "http1"), GET);
      await until("the request", () => lab.reached.length === 1);
      peer.socket.destroy();
      const denied = lab.dial().send(header(lab.appPort + 1, "http1"), GET);
      await until("the refusal", () => denied.text.startsWith("HTTP/1.1 404 "));
      denied.socket.destroy();
    });

    test("nothing is detected: bytes under an HTTP session are a bad request, HTTP without one is bytes", async () => {
      const bad = lab.dial().send(header(lab.appPort, "http1"), "hello world, no HTTP\r\n\r\n");
      assert.match(await bad.closed(), /^HTTP\/1\.1 400 /);
      assert.equal(lab.reached.length, 0);
      const bytes = lab.dial().send(header(lab.appPort), GET);
      await until("the echo", () => bytes.text === GET);
      bytes.socket.destroy();
    });

    const NO_HTTP: readonly (readonly [what: string, policy: ServerPolicy])[] = [
      ["opaque", opaqueServerPolicy(OPEN)],
      ["TLS", { ...OPEN, protocol: { kind: "tls" } }],
      ["to be denied", DENY],
    ];
    for (const [what, policy] of NO_HTTP) {
      test(`HTTP to a port that is ${what} is a 404`, async () => {
        lab.setPolicy(lab.appPort, policy);
        const peer = lab.dial().send(header(lab.appPort, "http1"), GET);
        await until("the refusal", () => peer.text.startsWith("HTTP/1.1 404 Not Found\r\n"));
        assert.equal(lab.reached.length, 0);
        peer.socket.destroy();
      });
    }

    test("DT-05: bytes to a port whose policy denies are closed, and counted", async () => {
      lab.setPolicy(lab.appPort, DENY);
      const labels = { target_port: String(lab.appPort), srv_name: "deny", client_id: CLIENT };
      const before = await counted("inbound_tcp_authz_deny_total", labels);
      await refused(await lab.dial().send(header(lab.appPort), "hello").closed(), /Connection denied/);
      assert.equal(await counted("inbound_tcp_authz_deny_total", labels), before + 1);
    });

    test("a request without any authority fails: there is no default here", async () => {
      const peer = lab.dial().send(header(lab.appPort, "http1"), "GET / HTTP/1.0\r\n\r\n");
      assert.match(await peer.closed(), /^HTTP\/1\.\d 500 /);
      assert.equal(lab.reached.length, 0);
    });
  });

  describe("invariant 31: loops end", () => {
    test("DT-01: our own port without TLS", async () => {
      await refused(await lab.dialInClear().send(GET).closed(), /must be mutually authenticated/);
    });

    test("DT-06: a header that names our own port, or another one of ours, whatever its policy", async () => {
      const admin = lab.appPort + 7;
      lab.ownPorts.add(admin);
      for (const port of [lab.port, admin]) {
        lab.setPolicy(port, OPEN);
        lab.logged.length = 0;
        await refused(await lab.dial().send(header(port), "hello").closed(), /is a port of the proxy itself/);
        const peer = lab.dial().send(header(port, "http1"), GET);
        assert.match(await peer.closed(), /^HTTP\/1\.1 500 /);
      }
    });

    test("an application that sends back to us what it gets", async () => {
      const looping = await DirectLab.start({
        application: (socket) => {
          const back = connect(looping.port, "127.0.0.1");
          back.on("error", () => {});
          socket.pipe(back).pipe(socket);
        },
      });
      looping.setPolicy(looping.appPort, OPEN);
      assert.equal(await looping.dial().send(header(looping.appPort), "hello").closed(), "");
      assert.equal(looping.reached.length, 1);
      looping.close();
    });
  });

  test("DT-07: a peer that sends no header is closed at the detect timeout", async () => {
    const clock = new FakeClock();
    const slow = await DirectLab.start({ clock });
    const silent = slow.dial();
    // The handshake has a deadline of its own.
    await until("the handshake", async () => sum(await slow.page(), "outrigger_tls_handshakes_total") === 1);
    clock.advance(10_000);
    assert.equal(await silent.closed(), "");
    assert.match(slow.logged.join("\n"), /no transport header within 10000ms/);
    slow.close();
  });

  test(
    "OpenSSL as a peer: with certificate, ALPN and header it is served, without ALPN it is not",
    { skip: OPENSSL_MISSING },
    async () => {
      using files = new ScratchDir();
      const leaf = lab.ca.issue({ id: DB });
      const args = [
        ...["s_client", "-connect", `127.0.0.1:${lab.port}`, "-servername", WEB, "-quiet"],
        ...["-cert", files.write("leaf.pem", leaf.leafPem), "-key", files.write("key.pem", leaf.keyPem)],
      ];
      await using peer = new OpensslPeer([...args, "-alpn", "transport.l5d.io/v1"]);
      peer.writeBytes(Buffer.concat([header(lab.appPort), Buffer.from("hello")]));
      await peer.waitFor(/hello/);
      assert.ok((await counted("inbound_tcp_authz_allow_total", { client_id: DB })) > 0);
      await using without = new OpensslPeer(args);
      without.writeBytes(Buffer.concat([header(lab.appPort), Buffer.from("hello")]));
      await without.ended();
      assert.doesNotMatch(without.output, /hello/);
    },
  );
});
