import { SERVICE, type MeshPorts } from "./mesh.ts";
import type { RequestResult } from "./judge.ts";
import type { Workspace } from "./workspace.ts";

/** The results as an aligned table, and below it everything that was not as it must be. */
export function formatTable(results: readonly RequestResult[]): string {
  const head = ["", "request", "detected", "status", "far side saw", "TLS", "group", "first ms", "again ms"];
  const rows = results.map((one) => [
    one.ok ? "ok" : "NO",
    one.protocol,
    one.detected ?? "-",
    String(one.status),
    one.clientId ?? "-",
    one.tls.version ?? "-",
    one.tls.group ?? "-",
    one.firstLatencyMs.toFixed(1),
    one.latencyMs.toFixed(1),
  ]);
  const widths = head.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        column >= NUMERIC_FROM ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return [head, ...rows].map((row) => `${line(row)}\n`).join("");
}

/** The first column of numbers. */
const NUMERIC_FROM = 7;

/** One line for each thing that was not as it must be. */
export function formatProblems(results: readonly RequestResult[]): string {
  return results.flatMap(({ protocol, problems }) => problems.map((one) => `${protocol}: ${one}\n`)).join("");
}

/** The summary for programs; where the demo stays up, with what they need to go on. */
export function formatJson(
  results: readonly RequestResult[],
  staysUp: { readonly workspace: Workspace; readonly ports: MeshPorts } | undefined,
): string {
  const requests = results.map(({ problems, ...rest }) => ({
    ...rest,
    ...(problems.length > 0 ? { problems } : {}),
  }));
  const more = staysUp === undefined ? {} : { manifests: staysUp.workspace.manifests, ports: staysUp.ports };
  return `${JSON.stringify({ requests, ok: results.every(({ ok }) => ok), ...more })}\n`;
}

/** What to try while the demo stays up. */
export function formatHints({ manifests, logs }: Workspace, ports: MeshPorts): string {
  const policy = `${manifests}/authorization-policy.yaml`;
  return `
The mesh stays up until Ctrl-C. Try in another terminal:

  a request through the client's sidecar as a proxy, and one through a forward to the same service
    curl -x http://127.0.0.1:${ports.proxy} http://${SERVICE}/hello
    curl http://127.0.0.1:${ports.targets["http/1"].port}/hello

  the same application without the mesh: nobody vouches for you, so it sees no l5d-client-id
    curl http://127.0.0.1:${ports.server.http}/hello

  shut the client out, and let it in again: save the policy, and the next request is decided by it
    sed -i.old 's/name: client/name: nobody/' ${policy}
    sed -i.old 's/name: nobody/name: client/' ${policy}

  what the sidecars count
    curl -s http://127.0.0.1:${ports.clientAdmin}/metrics | grep outrigger_tls
    curl -s http://127.0.0.1:${ports.serverAdmin}/metrics | grep authz

Logs are in ${logs}
The client goes on sending one request of each kind every second; whatever changes is told here:
`;
}
