import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../../test/support/process-mesh.ts";
import { TLS_SUITE, type Peer, type Site } from "./peer.ts";
import { findProgram, hopOf, pairOf, startProxy } from "./start.ts";

/**
 * nginx as one worker that keeps its connections. It speaks HTTP/1.1 to servers and nothing newer, so a pair
 * does too.
 *
 * It forwards no more of a request once it has forwarded the head of the response (in its source
 * `preserve_output` is for gRPC alone): an application behind it must read all of a body before it answers.
 */
export const nginx: Peer = {
  name: "nginx",

  missing() {
    return findProgram("nginx") === undefined ? "nginx is not on PATH (Debian package nginx)" : undefined;
  },

  takes: ({ protocol }) => protocol === "http1",

  async start(job, site) {
    const application = upstream(site.appPort, "proxy_pass http://servers;");
    if (job.topology === "hop") {
      const port = await freePort();
      return hopOf(port, await run(site, "hop", `listen 127.0.0.1:${port};`, application, port));
    }
    const { ca, cert, key, name } = site.certs;
    const meshPort = await freePort();
    const accept = `listen 127.0.0.1:${meshPort} ssl;
    ssl_certificate ${cert};
    ssl_certificate_key ${key};
    ssl_client_certificate ${ca};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites ${TLS_SUITE};`;
    const inbound = await run(site, "inbound", accept, application, meshPort);
    const next = upstream(
      meshPort,
      `proxy_pass https://servers;
    proxy_ssl_certificate ${cert};
    proxy_ssl_certificate_key ${key};
    proxy_ssl_trusted_certificate ${ca};
    proxy_ssl_verify on;
    proxy_ssl_name ${name};
    proxy_ssl_server_name on;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_conf_command Ciphersuites ${TLS_SUITE};`,
    );
    const port = await freePort();
    return pairOf(port, inbound, run(site, "outbound", `listen 127.0.0.1:${port};`, next, port));
  },
};

/** Where requests go to, and how. */
interface Upstream {
  readonly port: number;
  readonly pass: string;
}

function upstream(port: number, pass: string): Upstream {
  return { port, pass };
}

/**
 * Adds a header each way and holds nothing back, as a sidecar does: bodies never touch the disk. One process
 * without a master, since the worker of a master that root started may not write to `site.dir`.
 */
async function run(site: Site, part: string, listen: string, { port, pass }: Upstream, ownPort: number) {
  const file = join(site.dir, `nginx-${part}.conf`);
  const temporary = (kind: string): string => join(site.dir, `nginx-${part}-${kind}`);
  await writeFile(
    file,
    `daemon off;
master_process off;
worker_processes 1;
pid ${temporary("pid")};
error_log stderr error;
events {
  worker_connections 8192;
}
http {
  access_log off;
  client_body_temp_path ${temporary("body")};
  proxy_temp_path ${temporary("proxy")};
  fastcgi_temp_path ${temporary("fastcgi")};
  uwsgi_temp_path ${temporary("uwsgi")};
  scgi_temp_path ${temporary("scgi")};
  keepalive_timeout 60s;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  upstream servers {
    server 127.0.0.1:${port};
    keepalive 256;
    keepalive_timeout 60s;
    keepalive_requests 1000000000;
  }
  server {
    ${listen}
    add_header x-proxy ${part} always;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_buffer_size 32k;
    proxy_buffers 8 32k;
    location / {
    ${pass}
    }
  }
}
`,
  );
  return startProxy([findProgram("nginx") ?? "nginx", "-p", site.dir, "-e", "stderr", "-c", file], ownPort);
}
