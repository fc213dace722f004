/** Invariant 1, against real processes: one whose key an agent hands out, so that it is known, and one that makes its own. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TestCa } from "../../support/certs.ts";
import { directConnect } from "../../support/direct-client.ts";
import { identityOf } from "../../support/mesh-manifest.ts";
import { freePort, ProcessMesh, type Sidecar } from "../../support/process-mesh.ts";
import { svidOf, WorkloadApi } from "../../support/workload-api.ts";

const ROOT = TestCa.create();
const ID = "spiffe://root.linkerd.cluster.local/web";
const LEAF = ROOT.issue({ id: ID });
const ADMIN_PATHS = ["/metrics", "/ready", "/live", "/env.json", "/proxy-log-level", "/shutdown", "/debug"];

/** What every P-256 key in PKCS#8 begins with, up to the secret; the length of the whole may differ. */
const PREFIX = Buffer.from("020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420", "hex");

/** Every way in which bytes may be written out: as they are, as hexadecimal, as base64 that begins anywhere among others. */
function formsOf(bytes: Buffer): readonly (readonly [string, Buffer])[] {
  const shifted = [0, 1, 2].map((n) => {
    // The first and the last group mix with what stands around; between them it is the same whatever that is.
    const text = Buffer.concat([Buffer.alloc(n), bytes]).toString("base64");
    return text.slice(n === 0 ? 0 : 4, -4);
  });
  return [
    ["raw", bytes],
    ["hex", Buffer.from(bytes.toString("hex"))],
    ["HEX", Buffer.from(bytes.toString("hex").toUpperCase())],
    ...shifted.flatMap((text): [string, Buffer][] => [
      ["base64", Buffer.from(text)],
      ["base64url", Buffer.from(text.replaceAll("+", "-").replaceAll("/", "_"))],
    ]),
  ];
}

const secret = Buffer.from(LEAF.key.export({ format: "jwk" }).d ?? "", "base64url");
const NEEDLES: readonly (readonly [string, Buffer])[] = [
  ...formsOf(LEAF.keyDer).map(([form, bytes]) => [`the key as ${form}`, bytes] as const),
  ...formsOf(secret).map(([form, bytes]) => [`the key's secret as ${form}`, bytes] as const),
  ...formsOf(PREFIX).map(([form, bytes]) => [`a key as ${form}`, bytes] as const),
  ["PEM", Buffer.from("PRIVATE KEY-----")],
];

/** What of a key is in `bytes`, whose lines may break text: PEM does. */
function foundIn(bytes: Buffer): readonly string[] {
  const unbroken = Buffer.from(bytes.toString("latin1").replaceAll(/\\n|\s/g, ""), "latin1");
  return NEEDLES.filter(([, needle]) => bytes.includes(needle) || unbroken.includes(needle)).map(
    ([what]) => what,
  );
}

/** The files below a directory with their content. Sockets and what vanishes meanwhile are passed over. */
async function filesBelow(dir: string): Promise<readonly (readonly [string, Buffer])[]> {
  const files: [string, Buffer][] = [];
  for (const entry of await readdir(dir, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const content = await readFile(path).catch(() => undefined);
    if (content !== undefined) files.push([path, content]);
  }
  return files;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

describe("invariant 1: private keys stay in the memory of the process", { timeout: 40_000 }, () => {
  let agent: WorkloadApi;
  let mesh: ProcessMesh;
  let root: string;
  let inspectorPort: number;
  /** By the name of the workload: the one with an agent, the one without. */
  const sidecars = new Map<string, Sidecar>();
  const inboundPorts = new Map<string, number>();

  before(async () => {
    agent = await WorkloadApi.start({ svids: [svidOf(ID, LEAF)] });
    root = await mkdtemp(join(tmpdir(), "private-"));
    const [cwd, tmp, reports] = [join(root, "cwd"), join(root, "tmp"), join(root, "reports")];
    for (const dir of [cwd, tmp, reports]) await mkdir(dir);
    inspectorPort = await freePort();
    for (const name of ["web", "db"]) inboundPorts.set(name, await freePort());
    const proxyPort = (name: string): number => inboundPorts.get(name) ?? 0;
    mesh = await ProcessMesh.start({
      workloads: [
        {
          name: "web",
          ports: {},
          proxyPort: proxyPort("web"),
          spire: { id: ID, socketPath: agent.socketPath },
        },
        { name: "db", ports: {}, proxyPort: proxyPort("db") },
      ],
      furtherAnchorsPem: ROOT.certPem,
      logFilter: "trace",
      // As careless a place as can be: core files of any size, into the working directory.
      prefix: ["sh", "-c", `cd ${cwd} && ulimit -c unlimited; exec "$@"`, "sh"],
    });
    const careless = {
      TMPDIR: tmp,
      // What a developer may have set for another program of the pod.
      NODE_OPTIONS: `--inspect=127.0.0.1:${inspectorPort} --report-on-fatalerror --report-on-signal --report-directory=${reports}`,
    };
    const started = ["web", "db"].map((name) => mesh.sidecar(name, [], careless));
    for (const sidecar of await Promise.all(started)) sidecars.set(sidecar.name, sidecar);
    // Keys in use: a handshake each.
    for (const name of sidecars.keys()) {
      const socket = await directConnect({ port: proxyPort(name), serverName: identityOf(name) });
      socket.destroy();
    }
  });
  after(async () => {
    await mesh.close();
    await agent.close();
    await rm(root, { recursive: true, force: true });
  });

  it("the search finds keys in every form", async () => {
    for (const text of [
      LEAF.keyPem,
      JSON.stringify({ key: LEAF.keyPem }),
      `key=${LEAF.keyDer.toString("hex")}`,
      Buffer.concat([Buffer.from("x"), LEAF.keyDer]).toString("base64"),
      JSON.stringify(LEAF.key.export({ format: "jwk" })),
    ]) {
      assert.notDeepEqual(foundIn(Buffer.from(text)), [], text);
    }
    assert.notDeepEqual(foundIn(TestCa.create().issue().keyDer), []);
    assert.deepEqual(foundIn(Buffer.from(LEAF.chainPem)), []);
    assert.deepEqual(foundIn(LEAF.leafDer), []);
  });

  it("invariant 1: no log, file, variable or page holds a private key in any form", async () => {
    const places: (readonly [string, Buffer])[] = [...(await filesBelow(root))];
    // The identity's own directory and the logs; the control plane keeps its authority there too, as it must.
    places.push(...(await filesBelow(mesh.dir)).filter(([path]) => !path.startsWith(join(mesh.dir, "ca"))));
    for (const [name, { pid, adminPort }] of sidecars) {
      for (const file of ["environ", "cmdline"]) {
        places.push([`${file} of ${name}`, await readFile(`/proc/${pid}/${file}`)]);
      }
      for (const path of ADMIN_PATHS) {
        const response = await fetch(`http://127.0.0.1:${adminPort}${path}`);
        places.push([`${path} of ${name}`, Buffer.from(await response.arrayBuffer())]);
      }
    }
    assert.ok((await mesh.log("web")).includes("DEBUG"), "the log is not verbose");
    const found = places.map(([place, bytes]) => [place, ...foundIn(bytes)]).filter((row) => row.length > 1);
    assert.deepEqual(found, []);
    assert.equal(existsSync(join(mesh.dir, "key.p8")), false);
  });

  it("invariant 1: neither SIGUSR1 nor inherited options open a debugger", async () => {
    const told = async (): Promise<number> =>
      (await Promise.all([...sidecars.keys()].map((name) => mesh.log(name)))).join("").split("Debugger")
        .length;
    const before = await told();
    const taken = await answers(9229);
    for (const { process: child } of sidecars.values()) child.kill("SIGUSR1");
    // A debugger opens within a few milliseconds; the answers to these come after it.
    for (const { adminPort } of sidecars.values()) {
      for (let i = 0; i < 20; i++)
        assert.equal((await fetch(`http://127.0.0.1:${adminPort}/live`)).status, 200);
    }
    assert.equal(await told(), before);
    assert.equal(await answers(9229), taken);
    assert.equal(await answers(inspectorPort), false);
    for (const [name, { pid }] of sidecars) {
      const environ = await readFile(`/proc/${pid}/environ`, "latin1");
      assert.doesNotMatch(environ, /NODE_OPTIONS/, name);
    }
  });

  it("invariant 1: a crash leaves no core, heap snapshot or report", async () => {
    await writeFile(join(root, "cwd", "witness"), "");
    for (const { process: child } of sidecars.values()) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGABRT");
      await gone;
    }
    const left = (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) =>
      entry.isFile(),
    );
    assert.deepEqual(
      left.map((entry) => entry.name),
      ["witness"],
    );
  });
});
