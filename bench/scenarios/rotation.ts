import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { Application } from "../../test/support/app/application.ts";
import { http1Get } from "../../test/support/app/clients.ts";
import { metricSum } from "../../test/support/app/metrics.ts";
import { SERVICE } from "../../test/support/app/pair.ts";
import { fillAuthorityDir, replaceFile } from "../../test/support/authority-dir.ts";
import { TestCa } from "../../test/support/certs.ts";
import { identityOf, NAMESPACE } from "../../test/support/mesh-manifest.ts";
import { freePort, ProcessMesh, type Sidecar } from "../../test/support/process-mesh.ts";
import { certificatesOf, handshakesOf } from "./renewals.ts";
import {
  longestLifeSeconds,
  type RotationOptions,
  type RotationResult,
  type Shown,
} from "./rotation-result.ts";
import { SteadyLoad } from "./steady-load.ts";

/** When things happen, as parts of the whole. */
const NEXT_ISSUER_AT = 0.2;
const NEXT_ANCHOR_AT = 0.4;
const THIRD_AT = 0.7;

/** Two hundred a second in all. */
const RATES = { http1Kept: 60, http1New: 30, http2: 60, grpc: 20, tunnel: 10, tcpNew: 20 };

/** How often the control plane looks at its authority's files. */
const LOOK_SECONDS = 0.5;

/** How long a replaced authority may take to be in every proxy's certificate, beyond the life of the former ones. */
const SPARE_MS = 5_000;

/**
 * Keeps requests of every protocol going while the mesh moves from one trust anchor to another, as its operators do it.
 *
 * Proxies start with a bundle of the old and the new anchor. Then the issuer is replaced by another one under the old
 * anchor, then by one under the new anchor; then the old anchor is dropped, and a third proxy joins that never knew it.
 */
export async function rotation(options: RotationOptions): Promise<RotationResult> {
  const stage = await Stage.set(options);
  try {
    return await stage.play();
  } finally {
    await stage.close();
  }
}

/** Control plane, application and proxies. */
class Stage {
  readonly #options: RotationOptions;
  readonly #caDir: string;
  readonly #application: Application;
  readonly #mesh: ProcessMesh;
  readonly #inboundPorts: ReadonlyMap<string, number>;

  private constructor(
    options: RotationOptions,
    caDir: string,
    application: Application,
    mesh: ProcessMesh,
    inboundPorts: ReadonlyMap<string, number>,
  ) {
    this.#options = options;
    this.#caDir = caDir;
    this.#application = application;
    this.#mesh = mesh;
    this.#inboundPorts = inboundPorts;
  }

  static async set(options: RotationOptions): Promise<Stage> {
    const caDir = await mkdtemp(join(tmpdir(), "outrigger-ca-"));
    await fillAuthorityDir(caDir, [OLD_ANCHOR, NEW_ANCHOR], FIRST_ISSUER);
    const application = await Application.start();
    const inboundPorts = new Map<string, number>();
    for (const name of ["client", "web", "late"]) inboundPorts.set(name, await freePort());
    const proxyPort = (name: string): number => inboundPorts.get(name) ?? 0;
    const mesh = await ProcessMesh.start({
      workloads: [
        { name: "client", ports: {}, proxyPort: proxyPort("client") },
        { name: "web", ports: { ...application.ports }, proxyPort: proxyPort("web") },
        { name: "late", ports: { http1: application.ports.http1 }, proxyPort: proxyPort("late") },
      ],
      controlPlaneArgs: ["--identity-lifetime", `${options.lifetimeSeconds}s`],
      caDir,
    });
    return new Stage(options, caDir, application, mesh, inboundPorts);
  }

  async play(): Promise<RotationResult> {
    const { seconds, lifetimeSeconds } = this.#options;
    const { http1, http2, grpc, tcp } = this.#application.ports;
    const web = await this.#sidecar("web", []);
    const targets = [http1, http2, grpc, tcp].map((port) => `${SERVICE}:${port}`);
    const client = await this.#sidecar("client", [
      ...targets,
      `late.${NAMESPACE}.svc.cluster.local:${http1}`,
    ]);
    const [toHttp1 = 0, toHttp2 = 0, toGrpc = 0, toTcp = 0, toLate = 0] = client.forwardPorts;
    const before = await Promise.all([client, web].map(({ adminPort }) => certificatesOf(adminPort)));
    const handshakesBefore = await handshakesOf(client.adminPort);

    const startedMs = performance.now();
    const load = await SteadyLoad.start({ http1: toHttp1, http2: toHttp2, grpc: toGrpc, tcp: toTcp }, RATES);
    const at = (part: number): Promise<void> =>
      pause(Math.max(startedMs + part * seconds * 1000 - performance.now(), 0));
    const shown: Shown[] = [await this.#shown("client"), await this.#shown("web")];

    await at(NEXT_ISSUER_AT);
    await fillAuthorityDir(this.#caDir, [OLD_ANCHOR, NEW_ANCHOR], SECOND_ISSUER);
    shown.push(...(await this.#shownBy(SECOND_ISSUER)));

    await at(NEXT_ANCHOR_AT);
    await fillAuthorityDir(this.#caDir, [OLD_ANCHOR, NEW_ANCHOR], THIRD_ISSUER);
    // Until the files are looked at, the former issuer may sign a last one.
    const oldEndMs = performance.now() + (LOOK_SECONDS + longestLifeSeconds(lifetimeSeconds)) * 1000;
    shown.push(...(await this.#shownBy(THIRD_ISSUER)));

    await at(THIRD_AT);
    await replaceFile(this.#caDir, "ca.crt", NEW_ANCHOR.certPem);
    await this.#until("the old anchor was dropped", async () => {
      return (await readFile(join(this.#mesh.dir, "anchors.pem"), "utf8")) === NEW_ANCHOR.certPem;
    });
    const late = await this.#sidecar("late", [`${SERVICE}:${http1}`]);
    // On a slow machine the anchor changes late, and the old one's certificates are to be outlived all the same.
    const third = await this.#askThird(late, toLate, Math.max(startedMs + seconds * 1000, oldEndMs));
    await load.stop();

    const lived = (performance.now() - startedMs) / 1000;
    const after = await Promise.all([client, web].map(({ adminPort }) => certificatesOf(adminPort)));
    const handshakes = (await handshakesOf(client.adminPort)) - handshakesBefore;
    const errors = [client, web, late].map(({ adminPort }) =>
      metricSum(adminPort, "control_identity_cert_refreshes_total", 'result="error"'),
    );
    return {
      seconds: lived,
      lifetimeSeconds,
      requests: { ...load.requests, ...third.requests },
      failures: [...load.failures, ...third.failures],
      renewals: { client: (after[0] ?? 0) - (before[0] ?? 0), web: (after[1] ?? 0) - (before[1] ?? 0) },
      refusedCertificates: (await Promise.all(errors)).reduce((sum, count) => sum + count, 0),
      handshakes,
      newConnections: load.requests["TCP, new connection"] ?? 0,
      shown: [...shown, await this.#shown("client"), await this.#shown("web"), await this.#shown("late")],
      issuers: [FIRST_ISSUER, SECOND_ISSUER, THIRD_ISSUER].map(({ certDer }) => certDer.toString("base64")),
      oldEndedSecondsBeforeEnd: (performance.now() - oldEndMs) / 1000,
    };
  }

  /** A third proxy asks the others and is asked, until `endMs` but at least once a way. */
  async #askThird(
    late: Sidecar,
    toLate: number,
    endMs: number,
  ): Promise<{ readonly requests: Record<string, number>; readonly failures: string[] }> {
    const [fromLate = 0] = late.forwardPorts;
    const requests: Record<string, number> = {
      "HTTP/1, by the third proxy": 0,
      "HTTP/1, to the third proxy": 0,
    };
    const failures: string[] = [];
    const ask = async (kind: string, port: number): Promise<void> => {
      do {
        const answer = await http1Get(port).catch((error: unknown) => String(error));
        if (typeof answer === "string" || answer.status !== 200)
          failures.push(`${kind}: ${JSON.stringify(answer)}`);
        requests[kind] = (requests[kind] ?? 0) + 1;
        await pause(100);
      } while (performance.now() < endMs);
    };
    await Promise.all([
      ask("HTTP/1, by the third proxy", fromLate),
      ask("HTTP/1, to the third proxy", toLate),
    ]);
    return { requests, failures };
  }

  #sidecar(name: string, forwards: readonly string[]): Promise<Sidecar> {
    return this.#mesh.sidecar(name, forwards, { LINKERD2_PROXY_IDENTITY_MIN_REFRESH: "100ms" });
  }

  /** What both proxies show once they have a certificate of `issuer`. */
  async #shownBy(issuer: TestCa): Promise<readonly Shown[]> {
    const wanted = issuer.certDer.toString("base64");
    const shown = new Map<string, Shown>();
    await this.#until("every proxy shows a certificate of the new issuer", async () => {
      for (const name of ["client", "web"]) shown.set(name, await this.#shown(name));
      return [...shown.values()].every((leaf) => leaf.issuer === wanted);
    });
    return [...shown.values()];
  }

  /** The certificate that a proxy shows to a new connection. */
  async #shown(name: string): Promise<Shown> {
    const socket = connectTls({
      host: "127.0.0.1",
      port: this.#inboundPorts.get(name) ?? 0,
      servername: identityOf(name),
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
    });
    await once(socket, "secureConnect");
    const leaf = socket.getPeerX509Certificate();
    socket.on("error", () => {}).destroy();
    return {
      proxy: name,
      serial: leaf?.serialNumber ?? "",
      issuer: leaf?.issuerCertificate?.raw.toString("base64") ?? "",
    };
  }

  async #until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + this.#options.lifetimeSeconds * 2_000 + SPARE_MS;
    while (!(await holds())) {
      if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
      await pause(50);
    }
  }

  async close(): Promise<void> {
    await this.#mesh.close();
    await this.#application.close();
    await rm(this.#caDir, { recursive: true, force: true });
  }
}

const OLD_ANCHOR = TestCa.create({ name: "old.root.linkerd.cluster.local" });
const NEW_ANCHOR = TestCa.create({ name: "new.root.linkerd.cluster.local" });
const FIRST_ISSUER = OLD_ANCHOR.intermediate({ maxIssuersBelow: 0 });
const SECOND_ISSUER = OLD_ANCHOR.intermediate({ maxIssuersBelow: 0 });
const THIRD_ISSUER = NEW_ANCHOR.intermediate({ maxIssuersBelow: 0 });
