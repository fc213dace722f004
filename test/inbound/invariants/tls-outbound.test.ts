import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { OID_CLIENT_AUTH } from "../../../src/identity/oids.ts";
import type { RunningProxy } from "../../../src/proxy.ts";
import { http1Get } from "../../support/app/clients.ts";
import { fillAuthorityDir } from "../../support/authority-dir.ts";
import { TestCa, type LeafOptions } from "../../support/certs.ts";
import { identityOf, NAMESPACE } from "../../support/mesh-manifest.ts";
import { Mesh } from "../../support/mesh.ts";
import { OPENSSL_MISSING, OpensslPeer, ScratchDir } from "../../support/openssl.ts";
import { freePort } from "../../support/process-mesh.ts";
import { listening, metricsOf, portOf, sum, until } from "../../socket/pair.ts";

/** In the path of every request: whoever finds it in bytes from the wire has found clear text. */
const MARKER = "secret-marker";

const HOUR_MS = 3_600_000;

interface Impostor {
  /** Of the workload that discovery says is there. */
  readonly name: string;
  readonly what: string;
  /** Certificate of its `s_server`, given the identity that clients expect. */
  readonly leaf: (expected: string) => LeafOptions;
  readonly args?: readonly string[];
  /** Issued by an authority that nobody trusts. */
  readonly isForeign?: boolean;
  readonly reason: string;
  /** What the client's proxy says of it. */
  readonly problem: RegExp;
}

const dns = (text: string) => ({ kind: "dns", text }) as const;
const elsewhere = identityOf("somebody-else");

const IMPOSTORS: readonly Impostor[] = [
  {
    name: "other-name",
    what: "the certificate of somebody else",
    leaf: () => ({ id: elsewhere }),
    reason: "wrong_identity",
    problem: new RegExp(`does not match TLS identity: expected \\S+, presented ${elsewhere}`),
  },
  {
    name: "wildcard",
    what: "a wildcard for all of the namespace",
    leaf: (expected) => ({ names: [dns(`*${expected.slice(expected.indexOf("."))}`)] }),
    reason: "wrong_identity",
    problem: /does not match TLS identity: expected \S+, presented none/,
  },
  {
    name: "cn-only",
    what: "the name in the subject alone",
    leaf: (expected) => ({ commonName: expected }),
    reason: "wrong_identity",
    problem: /does not match TLS identity: expected \S+, presented none/,
  },
  {
    name: "foreign",
    what: "the right name of another authority",
    leaf: (id) => ({ id }),
    isForeign: true,
    reason: "certificate_untrusted",
    problem: /server certificate refused: certificate does not chain to the trust anchors/,
  },
  {
    name: "expired",
    what: "a certificate that expired",
    leaf: (id) => ({ id, notAfterMs: Date.now() - 5_000 }),
    reason: "certificate_expired",
    problem: /server certificate refused: certificate expired at/,
  },
  {
    name: "early",
    what: "a certificate that is not yet valid",
    leaf: (id) => ({ id, notBeforeMs: Date.now() + HOUR_MS, notAfterMs: Date.now() + 2 * HOUR_MS }),
    reason: "certificate_not_yet_valid",
    problem: /server certificate refused: certificate is not valid before/,
  },
  {
    name: "clients-only",
    what: "a certificate for clients only",
    leaf: (id) => ({ id, extKeyUsage: [OID_CLIENT_AUTH] }),
    reason: "certificate_unusable",
    problem: /server certificate refused: certificate is not meant for a TLS server/,
  },
  {
    name: "tls12",
    what: "TLS 1.2",
    leaf: (id) => ({ id }),
    args: ["-tls1_2"],
    reason: "version",
    problem: /protocol version/,
  },
];

/** Peers that speak no TLS at all, by what they do with a connection. */
const CLEAR: Readonly<Record<string, (socket: Socket) => void>> = {
  "answers-in-clear": (socket) =>
    socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")),
  closes: (socket) => socket.once("data", () => socket.end()),
};

const HONEST = "honest";
const NAMES = [HONEST, ...IMPOSTORS.map(({ name }) => name), ...Object.keys(CLEAR)];

describe(
  "invariants 9, 10, ranked 2, 3: a client that was told an identity",
  { skip: OPENSSL_MISSING },
  () => {
    const lines: string[] = [];
    const servers = new Map<string, OpensslPeer>();
    const heard = new Map<string, Buffer[]>();
    const forwards = new Map<string, number>();
    const statuses = new Map<string, number>();
    const closers: (() => Promise<unknown>)[] = [];
    let proxy: RunningProxy;

    before(async () => {
      const files = new ScratchDir();
      closers.push(async () => files[Symbol.dispose]());
      const root = TestCa.create();
      const caDir = await mkdtemp(join(tmpdir(), "outrigger-ca-"));
      closers.push(() => rm(caDir, { recursive: true, force: true }));
      await fillAuthorityDir(caDir, [root], root.intermediate());

      const serve = async (
        name: string,
        port: number,
        leafOptions: LeafOptions,
        ca: TestCa,
        args: readonly string[],
      ) => {
        const leaf = ca.issue(leafOptions);
        const [cert, key] = [
          files.write(`${name}.pem`, leaf.leafPem),
          files.write(`${name}.key`, leaf.keyPem),
        ];
        const server = new OpensslPeer([
          "s_server",
          "-accept",
          `127.0.0.1:${port}`,
          "-cert",
          cert,
          "-key",
          key,
          ...args,
        ]);
        closers.push(() => server[Symbol.asyncDispose]());
        servers.set(name, server);
        await server.waitFor(/ACCEPT/);
      };
      const ports = new Map<string, number>();
      for (const name of NAMES) ports.set(name, await freePort());
      const portFor = (name: string): number => ports.get(name) ?? 0;
      const starting = IMPOSTORS.map(({ name, leaf, args = [], isForeign }) =>
        serve(name, portFor(name), leaf(identityOf(name)), isForeign === true ? TestCa.create() : root, args),
      );
      const names = [dns(elsewhere), dns(identityOf(HONEST))];
      await Promise.all([...starting, serve(HONEST, portFor(HONEST), { names }, root, [])]);
      for (const [name, behave] of Object.entries(CLEAR)) {
        const chunks: Buffer[] = [];
        heard.set(name, chunks);
        const server: Server = createServer((socket) => {
          socket.on("error", () => {}).on("data", (chunk: Buffer) => chunks.push(chunk));
          behave(socket);
        });
        await new Promise<void>((resolve) => server.listen(portFor(name), "127.0.0.1", resolve));
        closers.push(() => new Promise((resolve) => server.close(resolve)));
      }

      // The application behind each: nobody may reach it past the proxy that is said to be in front of it.
      const application = await listening(createServer((socket) => socket.destroy()));
      closers.push(() => new Promise((resolve) => application.close(resolve)));
      const mesh = await Mesh.start({
        workloads: [
          { name: "client", ports: {}, proxyPort: await freePort() },
          ...NAMES.map((name) => ({ name, ports: { http: portOf(application) }, proxyPort: portFor(name) })),
        ],
        caDir,
        logFilter: "info",
        onLog: (line) => void lines.push(line),
      });
      closers.unshift(() => mesh.close());
      for (const name of NAMES) forwards.set(name, await freePort());
      proxy = await mesh.proxy("client", {
        OUTRIGGER_FORWARD: NAMES.map(
          (name) =>
            `127.0.0.1:${forwards.get(name)}=${name}.${NAMESPACE}.svc.cluster.local:${portOf(application)}`,
        ).join(","),
        LINKERD2_PROXY_OUTBOUND_HTTP_FAILFAST_TIMEOUT: "1s",
        LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD: "100ms",
      });
      // Its server never answers: only that the request comes through is waited for.
      http1Get(forwards.get(HONEST) ?? 0, `/${MARKER}`).catch(() => {});
      await Promise.all(
        NAMES.filter((name) => name !== HONEST).map(async (name) => {
          statuses.set(name, (await http1Get(forwards.get(name) ?? 0, `/${MARKER}`)).status);
        }),
      );
    });
    after(async () => {
      for (const close of closers) await close();
    });

    for (const { name, what, reason, problem } of IMPOSTORS) {
      it(`sends nothing to a server with ${what}: an error, a line, a count`, async () => {
        assert.ok((statuses.get(name) ?? 0) >= 502, `${statuses.get(name)}`);
        const failures = sum(await metricsOf(proxy), "outrigger_tls_handshake_failures_total", {
          direction: "outbound",
          reason,
        });
        assert.ok(failures > 0, reason);
        const about = lines.filter((line) => problem.test(line));
        assert.ok(about.length > 0, lines.join(""));
        assert.doesNotMatch(servers.get(name)?.output ?? "", new RegExp(`${MARKER}|PRI \\* HTTP`));
      });
    }

    for (const name of Object.keys(CLEAR)) {
      const what = name.replaceAll("-", " ");
      it(`sends a ClientHello and no clear text to a server that ${what}`, async () => {
        assert.ok((statuses.get(name) ?? 0) >= 502, `${statuses.get(name)}`);
        const bytes = Buffer.concat(heard.get(name) ?? []);
        assert.equal(bytes[0], 0x16);
        assert.ok(!bytes.includes(MARKER) && !bytes.includes("HTTP"), bytes.toString("latin1"));
      });
    }

    it("speaks to a server that has the name among several", async () => {
      const server = servers.get(HONEST);
      assert.ok(server !== undefined);
      await until("the request came through", () => server.output.includes("PRI * HTTP/2.0"));
    });
  },
);
