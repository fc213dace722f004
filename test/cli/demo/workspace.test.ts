import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createWorkspace, removeWorkspace, writeManifests } from "../../../src/cli/demo/workspace.ts";
import { readFolder, readResources } from "../../../src/control-plane/resources/read-folder.ts";

async function workspaceFor(t: TestContext) {
  const workspace = await createWorkspace();
  t.after(() => removeWorkspace(workspace));
  return workspace;
}

test("the demo's manifests are copied with the ports that the processes have", async (t) => {
  const workspace = await workspaceFor(t);
  await writeManifests(workspace, { echo: { http: 4711, "linkerd-proxy": 4712 } });

  const read = readResources(await readFolder(workspace.manifests), workspace.manifests);
  assert.ok(read.ok);
  const workloads = read.resources.ofKind("ExternalWorkload");
  const echo = workloads.find(({ meta }) => meta.name === "echo");
  const ports = new Map(echo?.ports.map(({ name, port }) => [name, port]));
  assert.equal(ports.get("http"), 4711);
  assert.equal(ports.get("linkerd-proxy"), 4712);
  assert.equal(ports.get("tcp"), 27000);
});

test("a copy keeps its comments, which are what its reader needs", async (t) => {
  const workspace = await workspaceFor(t);
  await writeManifests(workspace, { echo: { http: 4711 } });
  const text = await readFile(join(workspace.manifests, "workloads.yaml"), "utf8");
  assert.match(text, /^# One ExternalWorkload for each process/);
});

test("a port without a place in the manifests is named", async (t) => {
  const workspace = await workspaceFor(t);
  await assert.rejects(writeManifests(workspace, { echo: { telnet: 23 } }), /echo\/telnet/);
});
