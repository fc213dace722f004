import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../../test/support/process-mesh.ts";
import { httpConfig, streamConfig, type NginxPart } from "./nginx-config.ts";
import type { Job, Peer, Site } from "./peer.ts";
import { findProgram, hopOf, pairOf, startProxy } from "./start.ts";

/**
 * nginx as one worker that keeps its connections. It speaks HTTP/1.1 to servers and nothing newer, so a pair
 * does too. It takes TCP where its stream module is installed.
 *
 * It forwards no more of a request once it has forwarded the head of the response (in its source
 * `preserve_output` is for gRPC alone): an application behind it must read all of a body before it answers.
 */
export const nginx: Peer = {
  name: "nginx",

  missing() {
    return findProgram("nginx") === undefined ? "nginx is not on PATH (Debian package nginx)" : undefined;
  },

  takes: ({ protocol }) => protocol === "http1" || (protocol === "tcp" && findStream().kind !== "absent"),

  async start(job, site) {
    if (job.topology === "hop") {
      const port = await freePort();
      return hopOf(port, await run(job, site, "hop", port, site.appPort));
    }
    const meshPort = await freePort();
    const inbound = await run(job, site, "inbound", meshPort, site.appPort);
    const port = await freePort();
    return pairOf(port, inbound, run(job, site, "outbound", port, meshPort));
  },
};

async function run(job: Job, site: Site, name: NginxPart["name"], port: number, targetPort: number) {
  const temporary = (kind: string): string => join(site.dir, `nginx-${name}-${kind}`);
  const part: NginxPart = { name, port, targetPort, certs: site.certs, temporary };
  const file = join(site.dir, `nginx-${name}.conf`);
  await writeFile(file, job.protocol === "tcp" ? streamConfig(part, streamFile()) : httpConfig(part));
  return startProxy([findProgram("nginx") ?? "nginx", "-p", site.dir, "-e", "stderr", "-c", file], port);
}

/** The module for TCP: part of the program, a file to load (Debian package libnginx-mod-stream), or not here. */
type Stream =
  | { readonly kind: "built_in" }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "absent" };

let stream: Stream | undefined;

function findStream(): Stream {
  stream ??= lookForStream();
  return stream;
}

function lookForStream(): Stream {
  const program = findProgram("nginx");
  if (program === undefined) return { kind: "absent" };
  const options = spawnSync(program, ["-V"], { encoding: "utf8" }).stderr.split(/\s+/);
  if (!options.includes("--with-stream_ssl_module")) return { kind: "absent" };
  if (options.includes("--with-stream")) return { kind: "built_in" };
  const dir = options.find((option) => option.startsWith("--modules-path="))?.split("=")[1];
  const path = join(dir ?? "", "ngx_stream_module.so");
  return dir !== undefined && existsSync(path) ? { kind: "file", path } : { kind: "absent" };
}

function streamFile(): string | undefined {
  const found = findStream();
  return found.kind === "file" ? found.path : undefined;
}
