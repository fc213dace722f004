import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isMap, isSeq, parseAllDocuments, type Document } from "yaml";

/** The manifests that the demo starts with. */
const MANIFESTS = join(import.meta.dirname, "../../../examples/demo");

/** A directory of the demo's own: what the user may edit, and what the processes need and write. */
export interface Workspace {
  readonly dir: string;
  /** What the control plane reads. */
  readonly manifests: string;
  readonly tokens: string;
  readonly logs: string;
}

export async function createWorkspace(): Promise<Workspace> {
  const dir = await mkdtemp(join(tmpdir(), "outrigger-demo-"));
  const workspace = {
    dir,
    manifests: join(dir, "manifests"),
    tokens: join(dir, "tokens"),
    logs: join(dir, "logs"),
  };
  for (const path of [workspace.manifests, workspace.tokens, workspace.logs])
    await mkdir(path, { mode: 0o700 });
  return workspace;
}

export async function removeWorkspace({ dir }: Workspace): Promise<void> {
  await rm(dir, { recursive: true, force: true });
}

/** Ports of ExternalWorkloads: by the name of the workload, then by the name of the port. */
export type WorkloadPorts = Readonly<Record<string, Readonly<Record<string, number>>>>;

/**
 * Copies the manifests, with the ports that the processes really have.
 *
 * @throws if a port has no place in the manifests: the demo would then wait for traffic that cannot come.
 */
export async function writeManifests(workspace: Workspace, ports: WorkloadPorts): Promise<void> {
  const missing = new Set(
    Object.entries(ports).flatMap(([workload, named]) =>
      Object.keys(named).map((name) => `${workload}/${name}`),
    ),
  );
  for (const name of await readdir(MANIFESTS)) {
    if (!name.endsWith(".yaml")) continue;
    const source = await readFile(join(MANIFESTS, name), "utf8");
    const written = withPorts(source, ports);
    for (const place of written.found) missing.delete(place);
    await writeFile(join(workspace.manifests, name), written.text, { mode: 0o600 });
  }
  if (missing.size > 0) throw new Error(`${MANIFESTS} has no place for ${[...missing].join(", ")}`);
}

/** Sets the ports of the ExternalWorkloads in a file of manifests; everything else stays, comments too. */
function withPorts(
  source: string,
  ports: WorkloadPorts,
): { readonly text: string; readonly found: string[] } {
  const found: string[] = [];
  const documents = parseAllDocuments(source);
  if (!Array.isArray(documents)) return { text: source, found };
  for (const document of documents) {
    if (document.get("kind") !== "ExternalWorkload") continue;
    const workload = String(document.getIn(["metadata", "name"]));
    for (const [index, name] of portNames(document)) {
      const port = ports[workload]?.[name];
      if (port === undefined) continue;
      document.setIn(["spec", "ports", index, "port"], port);
      found.push(`${workload}/${name}`);
    }
  }
  return found.length === 0 ? { text: source, found } : { text: documents.map(String).join(""), found };
}

function portNames(document: Document): readonly (readonly [number, string])[] {
  const list = document.getIn(["spec", "ports"]);
  if (!isSeq(list)) return [];
  return list.items.map((item, index) => [index, isMap(item) ? String(item.get("name")) : ""] as const);
}
