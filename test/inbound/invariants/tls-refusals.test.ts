import assert from "node:assert/strict";
import { connect as tcpConnect, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { OID_SERVER_AUTH } from "../../../src/identity/oids.ts";
import { TestCa, type TestLeaf } from "../../support/certs.ts";
import { realHello } from "../../support/client-hello.ts";
import { OPENSSL_MISSING, OpensslPeer, ScratchDir } from "../../support/openssl.ts";
import { until } from "../../socket/pair.ts";
import { CLIENT_ID, SERVER_ID, TlsLab, type Aim } from "../tls-lab.ts";

/** Of the whole detection, and of the handshake with it. */
const DETECT_TIMEOUT_MS = 2_000;
const HOUR_MS = 3_600_000;

/** What a client asks for once it believes that TLS stands; none of it may reach the application. */
const REQUEST = "GET /secret-marker HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n";

let lab: TlsLab;
let files: ScratchDir;

before(async () => {
  files = new ScratchDir();
  lab = await TlsLab.start({ detectTimeoutMs: DETECT_TIMEOUT_MS });
});
after(async () => {
  await lab.close();
  files[Symbol.dispose]();
});

/** `openssl s_client` towards the proxy's inbound port. */
function sClient(sni: string, ...more: string[]): OpensslPeer {
  return new OpensslPeer([
    "s_client",
    "-connect",
    `127.0.0.1:${lab.port}`,
    "-servername",
    sni,
    "-ign_eof",
    ...more,
  ]);
}

function presenting(leaf: TestLeaf): string[] {
  const [cert, key, chain] = [
    files.write("leaf.pem", leaf.leafPem),
    files.write("leaf.key", leaf.keyPem),
    files.write("chain.pem", leaf.chainPem.slice(leaf.leafPem.length)),
  ];
  const sendsChain = leaf.chainPem.length > leaf.leafPem.length;
  return ["-cert", cert, "-key", key, ...(sendsChain ? ["-cert_chain", chain] : [])];
}

type Counted = readonly [name: string, labels: Readonly<Record<string, string>>];

const failure = (reason: string): Counted => [
  "outrigger_tls_handshake_failures_total",
  { direction: "inbound", reason },
];
const inputOutput: Counted = ["inbound_tcp_errors_total", { error: "i/o" }];
const unexpected: Counted = ["inbound_tcp_errors_total", { error: "unexpected" }];
const tcpDenied: Counted = ["inbound_tcp_authz_deny_total", { srv_name: "meshed", tls: "no_identity" }];

interface Refusal {
  readonly what: string;
  readonly aim: Aim;
  /** Arguments of `s_client`; default: none beyond our own SNI. */
  readonly client?: () => readonly string[];
  readonly sni?: string;
  /** The one line that an operator reads about it. */
  readonly logged: RegExp;
  /** Each grows by one. */
  readonly counted: readonly Counted[];
  /** What OpenSSL says about it. */
  readonly seen?: RegExp;
}

const refusedClient = (what: string): RegExp =>
  new RegExp(
    `Connection closed .*client\\.addr=127\\.0\\.0\\.1:\\d+.*tls\\.failure=certificate_\\w+ tls\\.sni=${SERVER_ID}.*client certificate refused: ${what}`,
  );

const REFUSALS: readonly Refusal[] = [
  {
    what: "a client certificate of another authority",
    aim: "open",
    client: () => presenting(TestCa.create().intermediate().issue({ id: CLIENT_ID })),
    logged: refusedClient(
      `certificate does not chain to the trust anchors \\(it claims to be ${CLIENT_ID}\\)`,
    ),
    counted: [failure("certificate_untrusted"), inputOutput],
  },
  {
    what: "a self-signed client certificate with somebody's name",
    aim: "open",
    client: () => presenting(TestCa.create({ name: "" }).issue({ id: CLIENT_ID })),
    logged: refusedClient("certificate does not chain to the trust anchors"),
    counted: [failure("certificate_untrusted"), inputOutput],
  },
  {
    what: "an expired client certificate",
    aim: "open",
    client: () => presenting(lab.issuer.issue({ id: CLIENT_ID, notAfterMs: Date.now() - 5_000 })),
    logged: refusedClient("certificate expired at "),
    counted: [failure("certificate_expired"), inputOutput],
  },
  {
    what: "a client certificate that is not yet valid",
    aim: "open",
    client: () => {
      const [notBeforeMs, notAfterMs] = [Date.now() + HOUR_MS, Date.now() + 2 * HOUR_MS];
      return presenting(lab.issuer.issue({ id: CLIENT_ID, notBeforeMs, notAfterMs }));
    },
    logged: refusedClient("certificate is not valid before "),
    counted: [failure("certificate_not_yet_valid"), inputOutput],
  },
  {
    what: "a client certificate whose intermediate is missing",
    aim: "open",
    client: () => {
      const leaf = lab.issuer.issue({ id: CLIENT_ID });
      return presenting({ ...leaf, chainPem: leaf.leafPem });
    },
    logged: refusedClient("certificate does not chain to the trust anchors"),
    counted: [failure("certificate_untrusted"), inputOutput],
  },
  {
    what: "an authority's certificate as a client's",
    aim: "open",
    client: () => presenting(lab.issuer.issue({ id: CLIENT_ID, authority: true })),
    logged: refusedClient("certificate belongs to an authority and cannot be used as a leaf"),
    counted: [failure("certificate_unusable"), inputOutput],
  },
  {
    what: "a client certificate for servers only",
    aim: "open",
    client: () => presenting(lab.issuer.issue({ id: CLIENT_ID, extKeyUsage: [OID_SERVER_AUTH] })),
    logged: refusedClient("certificate is not meant for a TLS client"),
    counted: [failure("certificate_unusable"), inputOutput],
  },
  {
    what: "no client certificate where the port asks for one",
    aim: "meshed",
    logged: /Request denied .*server\.name=meshed.*client\.tls=established.*client\.addr=127\.0\.0\.1/,
    counted: [["inbound_http_authz_deny_total", { srv_name: "meshed", tls: "true", client_id: "" }]],
    seen: /HTTP\/1\.1 403/,
  },
  {
    what: "no client certificate on a direct connection",
    aim: "direct",
    client: () => ["-alpn", "transport.l5d.io/v1"],
    logged:
      /Connection closed .*client\.addr=127\.0\.0\.1.*direct connections must be mutually authenticated/,
    counted: [unexpected],
  },
  {
    what: "TLS 1.2",
    aim: "open",
    client: () => ["-tls1_2"],
    logged: new RegExp(
      `Connection closed .*tls\\.failure=version tls\\.sni=${SERVER_ID}.*unsupported protocol`,
    ),
    counted: [failure("version"), inputOutput],
    seen: /alert protocol version/,
  },
  {
    what: "groups that are not ours",
    aim: "open",
    client: () => ["-groups", "P-521"],
    logged: /Connection closed .*tls\.failure=parameters/,
    counted: [failure("parameters"), inputOutput],
    seen: /handshake failure/,
  },
  {
    what: "signatures that are not ours",
    aim: "open",
    client: () => ["-sigalgs", "rsa_pss_rsae_sha256"],
    logged: /Connection closed .*tls\.failure=parameters/,
    counted: [failure("parameters"), inputOutput],
    seen: /handshake failure/,
  },
  {
    what: "another protocol than the transport header on a direct connection",
    aim: "direct",
    client: () => ["-alpn", "h2", ...presenting(lab.issuer.issue({ id: CLIENT_ID }))],
    logged: /Connection closed .*tls\.failure=alpn/,
    counted: [failure("alpn"), inputOutput],
    seen: /alert no application protocol/,
  },
  {
    what: "no protocol at all on a direct connection",
    aim: "direct",
    client: () => presenting(lab.issuer.issue({ id: CLIENT_ID })),
    logged: /Connection closed .*direct connections require transport header negotiation/,
    counted: [unexpected],
  },
  {
    what: "the SNI of somebody else where the port asks for an identity",
    aim: "meshed",
    sni: "elsewhere.example",
    client: () => presenting(lab.issuer.issue({ id: CLIENT_ID })),
    logged: /Connection denied .*server\.name=meshed .*client\.addr=127\.0\.0\.1/,
    counted: [
      ["inbound_tcp_authz_deny_total", { srv_name: "meshed", tls: "opaque", sni: "elsewhere.example" }],
    ],
  },
  {
    what: "a ClientHello of more than 8 KiB where the port asks for an identity",
    aim: "meshed",
    client: () => ["-alpn", oversize(), ...presenting(lab.issuer.issue({ id: CLIENT_ID }))],
    logged: /Connection denied .*server\.name=meshed .*client\.addr=127\.0\.0\.1/,
    counted: [tcpDenied],
  },
];

/** Forty protocols of 250 letters: 10 KB of ClientHello. */
function oversize(): string {
  return Array.from({ length: 40 }, (_, i) => String(i).padStart(250, "p")).join(",");
}

async function countsOf(counted: readonly Counted[]): Promise<number[]> {
  return Promise.all(counted.map(([name, labels]) => lab.count(name, labels)));
}

describe("a peer of OpenSSL", { skip: OPENSSL_MISSING }, () => {
  it("reaches the application with a good certificate, on either port", async () => {
    for (const aim of ["open", "meshed"] as const) {
      lab.aim = aim;
      await using client = sClient(SERVER_ID, ...presenting(lab.issuer.issue({ id: CLIENT_ID })));
      client.write(REQUEST);
      await client.waitFor(/HTTP\/1\.1 200 OK/);
      assert.match(lab.reached.at(-1)?.bytes.toString() ?? "", /^GET \/secret-marker/);
    }
  });

  for (const { what, aim, client: args, sni = SERVER_ID, logged, counted, seen } of REFUSALS) {
    it(`invariants 7, 8, 9: is refused with ${what}: a line, a count, and nothing for the application`, async () => {
      lab.aim = aim;
      const [lines, reached, before] = [lab.lines.length, lab.reached.length, await countsOf(counted)];
      await using client = sClient(sni, ...(args?.() ?? []));
      client.write(REQUEST);
      if (seen !== undefined) await client.waitFor(seen);
      await client.ended();
      await until(
        () => `a line like ${logged}: ${lab.lines.slice(lines).join("")}`,
        () => lab.lines.slice(lines).some((line) => logged.test(line)),
      );
      const about = lab.lines.slice(lines).filter((line) => line.includes("127.0.0.1"));
      assert.equal(about.length, 1, about.join(""));
      const expected = before.map((count) => count + 1);
      assert.deepEqual(await countsOf(counted), expected, JSON.stringify(counted));
      assert.equal(lab.reached.length, reached, "the application saw a connection");
      if (seen === undefined || !seen.source.includes("403")) assert.doesNotMatch(client.output, /^HTTP\/1/m);
    });
  }
});

describe("bytes that are not for us", { skip: OPENSSL_MISSING }, () => {
  const passing: readonly [string, string, () => string[]][] = [
    ["the SNI of somebody else", "elsewhere.example", () => []],
    ["our name with a dot at its end", `${SERVER_ID}.`, () => []],
    ["a ClientHello of more than 8 KiB", SERVER_ID, () => ["-alpn", oversize()]],
  ];
  for (const [what, sni, args] of passing) {
    it(`invariants 13, 14: pass an open port as they are: ${what}`, async () => {
      lab.aim = "open";
      const reached = lab.reached.length;
      const handshakes = await lab.count("outrigger_tls_handshakes_total");
      await using client = sClient(sni, "-msg", ...args());
      client.write(REQUEST);
      await until("the application was reached", () => (lab.reached[reached]?.bytes.length ?? 0) > 5);
      const connection = lab.reached[reached];
      const length = 5 + (connection?.bytes.readUInt16BE(3) ?? 0);
      await until("the whole record came", () => (connection?.bytes.length ?? 0) >= length);
      // `-msg` prints the ClientHello in hexadecimal, as it was before the record's header was put on.
      const printed =
        /ClientHello\n((?: {4}[0-9a-f ]+\n)+|(?: {4}[0-9a-f ]+(?:\.\.\.)?\n)+)/.exec(client.output)?.[1] ??
        "";
      const sent = Buffer.from(printed.replaceAll(/[^0-9a-f]/g, ""), "hex");
      assert.ok(sent.length > 100, client.output);
      assert.deepEqual(connection?.bytes.subarray(5, 5 + sent.length), sent);
      assert.doesNotMatch(connection?.bytes.toString("latin1") ?? "", /secret-marker/);
      assert.equal(await lab.count("outrigger_tls_handshakes_total"), handshakes);
      connection?.socket.destroy();
      await client.ended();
    });
  }
});

describe("a ClientHello that does not end", () => {
  it("invariant 14: is closed at the detect timeout, whether it stops or trickles; so is a handshake that stalls after it", async () => {
    lab.aim = "open";
    const hello = await realHello({ servername: SERVER_ID, minVersion: "TLSv1.3" });
    const counted = [
      ["inbound_tcp_errors_total", { error: "tls detection timeout" }],
      failure("timeout"),
    ] as const;
    const [lines, reached, before] = [lab.lines.length, lab.reached.length, await countsOf(counted)];
    const startedMs = performance.now();
    const sending = (first: Buffer): Socket => {
      const socket = tcpConnect(lab.port, "127.0.0.1", () => socket.write(first));
      return socket.on("error", () => {}).resume();
    };
    const [stopped, trickling, stalled] = [
      sending(hello.subarray(0, 100)),
      sending(hello.subarray(0, 1)),
      sending(hello),
    ];
    let at = 1;
    const drip = setInterval(() => trickling.write(hello.subarray(at, ++at)), 100);
    const closed = [stopped, trickling, stalled].map(
      (socket) => new Promise((resolve) => socket.once("close", resolve)),
    );
    await Promise.all(closed);
    clearInterval(drip);
    assert.ok(performance.now() - startedMs >= DETECT_TIMEOUT_MS - 50);
    const linesLike = (pattern: RegExp): number =>
      lab.lines.slice(lines).filter((line) => pattern.test(line)).length;
    await until(
      () => `three lines: ${lab.lines.slice(lines).join("")}`,
      () =>
        linesLike(
          /Connection closed .*tls\.failure=timeout.*the ClientHello is incomplete after 2000ms: \d+ bytes came/,
        ) === 2 &&
        linesLike(/Connection closed .*tls\.failure=timeout tls\.sni=web\..*not finished within/) === 1,
    );
    const [detections = 0, failures = 0] = before;
    assert.deepEqual(await countsOf(counted), [detections + 2, failures + 3]);
    assert.equal(lab.reached.length, reached);
  });

  it("invariant 14: is terminated if it comes in segments of one byte, its name last", async () => {
    lab.aim = "open";
    const hello = await realHello({ servername: SERVER_ID, minVersion: "TLSv1.3" });
    const socket = tcpConnect({ port: lab.port, host: "127.0.0.1", noDelay: true });
    const answer = new Promise<Buffer>((resolve) => socket.once("data", resolve));
    for (const byte of hello) {
      socket.write(Buffer.of(byte));
      if (Math.random() < 0.02) await pause(1);
    }
    assert.equal((await answer)[0], 0x16);
    socket.destroy();
  });
});
