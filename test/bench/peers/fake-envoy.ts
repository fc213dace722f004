/**
 * Plays Envoy for bytes, so that the bench's configuration for it is acted on: listens where the listener says, connects
 * where the cluster says, with the TLS that either says. HTTP is out of its reach.
 *
 *   node test/bench/peers/fake-envoy.ts --config-path FILE [whatever Envoy takes]
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect as connectTcp, createServer as createTcpServer, type Socket } from "node:net";
import { parseArgs } from "node:util";
import { connect as connectTls, createServer as createTlsServer, type SecureVersion } from "node:tls";

interface File {
  readonly filename: string;
}

interface TlsContext {
  readonly common_tls_context: {
    readonly tls_params: { readonly tls_minimum_protocol_version: string };
    readonly tls_certificates: readonly [{ readonly certificate_chain: File; readonly private_key: File }];
    readonly validation_context: {
      readonly trusted_ca: File;
      readonly match_typed_subject_alt_names: readonly [{ readonly matcher: { readonly exact: string } }];
    };
  };
  readonly require_client_certificate?: boolean;
  readonly sni?: string;
}

interface Address {
  readonly socket_address: { readonly address: string; readonly port_value: number };
}

interface TransportSocket {
  readonly typed_config: TlsContext;
}

interface Bootstrap {
  readonly static_resources: {
    readonly listeners: readonly [
      {
        readonly address: Address;
        readonly filter_chains: readonly [
          {
            readonly filters: readonly [{ readonly typed_config: { readonly cluster: string } }];
            readonly transport_socket?: TransportSocket;
          },
        ];
      },
    ];
    readonly clusters: readonly [
      {
        readonly name: string;
        readonly load_assignment: {
          readonly endpoints: readonly [
            { readonly lb_endpoints: readonly [{ readonly endpoint: { readonly address: Address } }] },
          ];
        };
        readonly transport_socket?: TransportSocket;
      },
    ];
  };
}

const { values } = parseArgs({
  options: {
    "config-path": { type: "string", default: "" },
    concurrency: { type: "string" },
    "log-level": { type: "string" },
    "disable-hot-restart": { type: "boolean" },
  },
});
assert.equal(values.concurrency, "1");
// The bench wrote it.
const bootstrap = JSON.parse(readFileSync(values["config-path"], "utf8")) as Bootstrap;
const [listener] = bootstrap.static_resources.listeners;
const [chain] = listener.filter_chains;
const [cluster] = bootstrap.static_resources.clusters;
assert.equal(chain.filters[0].typed_config.cluster, cluster.name);

function pems({ common_tls_context: context }: TlsContext) {
  const [{ certificate_chain, private_key }] = context.tls_certificates;
  return {
    cert: readFileSync(certificate_chain.filename),
    key: readFileSync(private_key.filename),
    ca: readFileSync(context.validation_context.trusted_ca.filename),
    // `TLSv1_3` there, `TLSv1.3` here.
    minVersion: context.tls_params.tls_minimum_protocol_version.replace("_", ".") as SecureVersion,
  };
}

function dial(): Socket {
  const { address: host, port_value: port } =
    cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address;
  const context = cluster.transport_socket?.typed_config;
  if (context === undefined) return connectTcp({ host, port, allowHalfOpen: true });
  const [{ matcher }] = context.common_tls_context.validation_context.match_typed_subject_alt_names;
  return connectTls({
    ...{ host, port, allowHalfOpen: true },
    ...pems(context),
    servername: context.sni ?? "",
    checkServerIdentity: (_name, { subjectaltname }) =>
      subjectaltname === `DNS:${matcher.exact}` ? undefined : new Error(`the peer is ${subjectaltname}`),
  });
}

function forward(client: Socket): void {
  const server = dial();
  client.pipe(server).pipe(client);
  for (const [one, other] of [
    [client, server],
    [server, client],
  ] as const) {
    one.on("error", () => other.destroy());
  }
}

const accept = chain.transport_socket?.typed_config;
const { address, port_value } = listener.address.socket_address;
const server =
  accept === undefined
    ? createTcpServer({ allowHalfOpen: true }, forward)
    : createTlsServer(
        {
          ...pems(accept),
          allowHalfOpen: true,
          requestCert: accept.require_client_certificate === true,
          rejectUnauthorized: true,
        },
        forward,
      );
server.listen(port_value, address);
