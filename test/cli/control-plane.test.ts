import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { parseControlPlaneArgs, run } from "../../src/cli/control-plane.ts";

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command until it is ready, then stops it. */
async function runUntilReady(args: readonly string[]): Promise<Outcome> {
  let out = "";
  let err = "";
  const stopped = Promise.withResolvers<void>();
  const code = await run(args, {
    out: (text) => (out += text),
    err: (text) => {
      err += text;
      if (text.includes("Control plane ready")) stopped.resolve();
    },
    stopped: stopped.promise,
  });
  return { code, out, err };
}

async function folder(t: TestContext, manifest: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "outrigger-"));
  t.after(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, "mesh.yaml"), manifest);
  return dir;
}

const SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {}\n";

test("explains itself on --help", async () => {
  const { code, out } = await runUntilReady(["--help"]);
  assert.equal(code, 0);
  assert.match(out, /^Usage: outrigger control-plane --resources DIR/);
});

test("names every bad flag and exits with 64", async () => {
  const { code, err } = await runUntilReady([
    ...["--listen", "nowhere", "--identity-lifetime", "1ms", "--cluster-networks", "10.0.0.0"],
    ...["--default-inbound-policy", "open", "--trust-domain", "not a name", "--log-format", "xml"],
  ]);
  assert.equal(code, 64);
  assert.deepEqual(err.trim().split("\n").slice(0, -1), [
    "outrigger control-plane: --resources: found nothing, expected the folder with the manifests",
    `outrigger control-plane: --listen: "nowhere" is missing a port`,
    `outrigger control-plane: --identity-lifetime: found "1ms", expected a time from 1s to 365d such as 24h`,
    `outrigger control-plane: --trust-domain: found "not a name", expected a DNS name`,
    `outrigger control-plane: --cluster-networks: found "10.0.0.0", expected a network such as 10.0.0.0/8`,
    `outrigger control-plane: --default-inbound-policy: found "open", expected one of all-unauthenticated, all-authenticated, cluster-unauthenticated, cluster-authenticated, audit, deny`,
    `outrigger control-plane: --log-format: found "xml", expected one of plain, json`,
  ]);
});

test("names an unknown flag and exits with 64", async () => {
  const { code, err } = await runUntilReady(["--resource", "x"]);
  assert.equal(code, 64);
  assert.match(err, /Unknown option '--resource'/);
});

test("names every problem of the manifests and exits with 64", async (t) => {
  const dir = await folder(t, SERVICE.replace("web", "Web").replace("spec: {}", "spec: {port: 80}"));
  const { code, err } = await runUntilReady(["--resources", dir, "--listen", "127.0.0.1:0"]);
  assert.equal(code, 64);
  assert.match(err, /mesh\.yaml:3: metadata\.name: found "Web"/);
  assert.match(err, /mesh\.yaml:4: spec\.port: found an unknown field/);
});

test("exits with 64 where the folder does not exist", async () => {
  const { code, err } = await runUntilReady(["--resources", "/nonexistent/manifests"]);
  assert.equal(code, 64);
  assert.match(err, /\/nonexistent\/manifests/);
});

test("exits with 1 where the address is taken", async (t) => {
  const dir = await folder(t, SERVICE);
  const holder = createServer();
  holder.listen(0, "127.0.0.1");
  await once(holder, "listening");
  t.after(() => holder.close());
  // A TCP server that listens has an address with a port.
  const { port } = holder.address() as AddressInfo;
  const { code, err } = await runUntilReady(["--resources", dir, "--listen", `127.0.0.1:${port}`]);
  assert.equal(code, 1);
  assert.match(err, new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`));
});

test("runs until it is asked to stop, and writes the trust anchors", async (t) => {
  const dir = await folder(t, SERVICE);
  const anchors = join(dir, "anchors.pem");
  const { code, err } = await runUntilReady([
    ...["--resources", dir, "--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--trust-anchors", anchors],
  ]);
  assert.equal(code, 0);
  assert.match(err, /Without --tokens no proxy can prove its identity/);
  assert.match(await readFile(anchors, "utf8"), /^-----BEGIN CERTIFICATE-----/);
});

test("takes its defaults from the installation it stands in for", () => {
  const args = parseControlPlaneArgs(["--resources", "x"]);
  assert.ok(args.kind === "run");
  const { listen, identityLifetimeMs, settings } = args.options;
  assert.deepEqual(
    listen.map((addr) => [addr.ip.text, addr.port]),
    [["127.0.0.1", 8086]],
  );
  assert.equal(identityLifetimeMs, 86_400_000);
  assert.equal(settings?.trustDomain, "cluster.local");
  assert.equal(settings?.clusterNetworks?.length, 5);
});
