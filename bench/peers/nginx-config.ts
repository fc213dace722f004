/** What nginx is to do: the text of its configuration files. */

import { TLS_SUITE, type Certs } from "./peer.ts";

/** How one nginx is to listen and where it sends. Both ends are on 127.0.0.1. */
export interface NginxPart {
  readonly name: "hop" | "inbound" | "outbound";
  readonly port: number;
  readonly targetPort: number;
  readonly certs: Certs;
  /** A file for each name, where it may write. */
  readonly temporary: (name: string) => string;
}

/** Adds a header each way and holds nothing back, as a sidecar does: bodies never touch the disk. */
export function httpConfig(part: NginxPart): string {
  const { name, targetPort, temporary } = part;
  return `${common(part)}
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
    server 127.0.0.1:${targetPort};
    keepalive 256;
    keepalive_timeout 60s;
    keepalive_requests 1000000000;
  }
  server {
    ${listen(part)}
    add_header x-proxy ${name} always;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_buffer_size 32k;
    proxy_buffers 8 32k;
    location / {
      proxy_pass ${name === "outbound" ? "https" : "http"}://servers;
      ${name === "outbound" ? connectTls(part) : ""}
    }
  }
}
`;
}

/**
 * Bytes as they come, a connection for each of the client's. Between the two of a pair each makes a handshake of its own,
 * as in a mesh, where nobody resumes sessions.
 *
 * @param module file to load it from; undefined if nginx has it built in.
 */
export function streamConfig(part: NginxPart, module: string | undefined): string {
  const { name, targetPort } = part;
  const mesh = name === "inbound" ? "ssl_session_cache off; ssl_session_tickets off;" : "";
  const next =
    name === "outbound" ? `proxy_ssl on; proxy_ssl_session_reuse off;\n    ${connectTls(part)}` : "";
  return `${module === undefined ? "" : `load_module ${module};`}
${common(part)}
stream {
  server {
    ${listen(part)}
    ${mesh}
    proxy_pass 127.0.0.1:${targetPort};
    proxy_connect_timeout 5s;
    proxy_timeout 60s;
    proxy_half_close on;
    proxy_buffer_size 32k;
    ${next}
  }
}
`;
}

/** One process without a master, since the worker of a master that root started may not write where we may. */
function common({ temporary }: NginxPart): string {
  return `daemon off;
master_process off;
worker_processes 1;
pid ${temporary("pid")};
error_log stderr error;
events {
  worker_connections 8192;
}`;
}

function listen({ name, port, certs }: NginxPart): string {
  if (name !== "inbound") return `listen 127.0.0.1:${port};`;
  return `listen 127.0.0.1:${port} ssl;
    ssl_certificate ${certs.cert};
    ssl_certificate_key ${certs.key};
    ssl_client_certificate ${certs.ca};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites ${TLS_SUITE};`;
}

function connectTls({ certs }: NginxPart): string {
  return `proxy_ssl_certificate ${certs.cert};
    proxy_ssl_certificate_key ${certs.key};
    proxy_ssl_trusted_certificate ${certs.ca};
    proxy_ssl_verify on;
    proxy_ssl_name ${certs.name};
    proxy_ssl_server_name on;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_conf_command Ciphersuites ${TLS_SUITE};`;
}
