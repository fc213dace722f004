import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { FolderWatcher } from "../../src/control-plane/resources/folder-watcher.ts";
import { readFolder, readResources } from "../../src/control-plane/resources/read-folder.ts";
import { formatProblem } from "../../src/control-plane/resources/problem.ts";
import { NO_LOG } from "../../src/log/log.ts";
import { workload } from "./support.ts";
import { systemClock } from "../../src/time/clock.ts";

async function folder(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "outrigger-"));
  t.after(() => rm(dir, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(dir, name, ".."), { recursive: true });
    await writeFile(join(dir, name), text);
  }
  return dir;
}

const service = (name: string): string =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {}\n`;

test("reads manifests of folders below, and no hidden or foreign files", async (t) => {
  const dir = await folder(t, {
    "a.yaml": service("a"),
    "below/b.yml": service("b"),
    "below/c.json": `{"apiVersion":"v1","kind":"Service","metadata":{"name":"c"},"spec":{}}`,
    ".hidden.yaml": "broken: [",
    ".git/d.yaml": "broken: [",
    "notes.txt": "no manifest",
    "e.yaml.swp": "broken: [",
  });
  const state = readResources(await readFolder(dir), dir);
  assert.ok(state.ok);
  assert.deepEqual(
    state.resources.all.map((r) => r.meta.name),
    ["a", "b", "c"],
  );
});

test("reports problems of all files together, each with its file", async (t) => {
  const dir = await folder(t, {
    "a.yaml": "kind: A",
    "b.yaml": service("B"),
    "c.yaml": service("c"),
    "d.yaml": service("c"),
  });
  const state = readResources(await readFolder(dir), dir);
  assert.ok(!state.ok);
  assert.deepEqual(state.problems.map(formatProblem), [
    `${dir}/a.yaml:1: apiVersion: found nothing, expected a value: the field is required`,
    `${dir}/b.yaml:3: metadata.name: found "B", expected a name of lower-case letters, digits, '-' and '.'`,
    `${dir}/d.yaml:1: metadata.name: found Service default/c a second time, expected it once: it is already in ${dir}/c.yaml:1`,
  ]);
});

test("warns of names that lead nowhere", async (t) => {
  const dir = await folder(t, {
    "a.yaml": `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec: {parentRefs: [{group: "", kind: Service, name: gone}], rules: [{backendRefs: [{name: lost, port: 1}]}]}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: p}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: s}
  requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: NetworkAuthentication, name: n}]
`,
  });
  const state = readResources(await readFolder(dir), dir);
  assert.ok(state.ok);
  assert.deepEqual(
    state.warnings.map((w) => `${w.line} ${w.field}: ${w.text}`),
    [
      "2 spec.parentRefs[0]: Service default/gone does not exist: the route has no effect",
      "2 spec.rules[0].backendRefs[0]: Service default/lost does not exist: its share of the traffic fails",
      "7 spec.targetRef: Server default/s does not exist: the policy has no effect",
      "7 spec.requiredAuthenticationRefs: NetworkAuthentication default/n does not exist: the policy lets nobody in",
    ],
  );
});

test("warns of routes that a parent does not take, and of profiles of no service", async (t) => {
  const route = (kind: string, name: string, parents: string): string =>
    `apiVersion: gateway.networking.k8s.io/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: {parentRefs: [${parents}]${kind === "TCPRoute" ? ", rules: [{backendRefs: [{name: lost, port: 1}]}]" : ""}}\n`;
  const web = `{group: "", kind: Service, name: web}`;
  const dir = await folder(t, {
    "a.yaml": [
      "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n",
      "apiVersion: v1\nkind: Service\nmetadata: {name: bare}\nspec: {clusterIP: None, ports: [{port: 80}]}\n",
      route("GRPCRoute", "g", web),
      route("HTTPRoute", "h", `${web}, {group: "", kind: Service, name: bare}`),
      route(
        "TCPRoute",
        "t",
        `{group: policy.linkerd.io, kind: EgressNetwork, name: gone, namespace: ops, port: 1}`,
      ),
      "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: web}\nspec: {}\n",
      "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: gone.ops.svc.cluster.local}\nspec: {}\n",
    ].join("---\n"),
  });
  const state = readResources(await readFolder(dir), dir);
  assert.ok(state.ok);
  assert.deepEqual(
    state.warnings.map((w) => `${w.field}: ${w.text}`),
    [
      "spec.parentRefs[0]: Service default/web has a GRPCRoute at the same port: the route has no effect there",
      "spec.parentRefs[1]: Service default/bare is headless or external: the route has no effect there",
      "spec.parentRefs[0]: EgressNetwork ops/gone does not exist: the route has no effect",
      "spec.rules[0].backendRefs[0]: Service ops/lost does not exist: its share of the traffic fails",
      'metadata.name: found "web", expected a service\'s name such as web.shop.svc.cluster.local: the profile has no effect',
      "metadata.name: Service ops/gone does not exist: the profile has no effect",
    ],
  );
});

test("warns of workloads that are selected in vain and of addresses that two of them claim", async (t) => {
  const dir = await folder(t, {
    "a.yaml": [
      "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n",
      workload("one", "192.0.2.1", ["http=8080"]),
      workload("two", "192.0.2.1", ["http=80", "more=8080"]),
    ].join("---\n"),
  });
  const state = readResources(await readFolder(dir), dir);
  assert.ok(state.ok);
  assert.deepEqual(
    state.warnings.map((w) => `${w.line} ${w.field}: ${w.text}`),
    [
      `14 spec.workloadIPs: 192.0.2.1:8080 also belongs to shop/one (${dir}/a.yaml:6): clients of the address get neither`,
      "1 spec.ports[0].targetPort: ExternalWorkload shop/one is selected but lists no port 80: it is no endpoint of this port",
    ],
  );
});

test("publishes each good state once, whatever happens to files that stay the same", async (t) => {
  const dir = await folder(t, { "a.yaml": service("a") });
  const watcher = await FolderWatcher.start(dir, systemClock, NO_LOG);
  t.after(() => watcher.close());
  const seen: string[][] = [];
  const stop = new AbortController();
  const third = Promise.withResolvers<void>();
  watcher.resources.subscribe(stop.signal, (resources) => {
    const names = resources.all.map((r) => r.meta.name);
    seen.push(names);
    if (names.includes("c")) third.resolve();
  });
  await utimes(join(dir, "a.yaml"), 1, 1);
  await writeFile(join(dir, "b.yaml"), service("b"));
  await writeFile(join(dir, "c.yaml"), service("c"));
  await third.promise;
  assert.deepEqual(seen, [["a", "b", "c"]]);
});

test("does not start without the folder", async () => {
  await assert.rejects(FolderWatcher.start("/nonexistent/manifests", systemClock, NO_LOG), /ENOENT/);
});
