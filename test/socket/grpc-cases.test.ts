import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type StatusObject,
} from "@grpc/grpc-js";
import type { RunningProxy } from "../../src/proxy.ts";
import { identityOf, NAMESPACE } from "../support/mesh-manifest.ts";
import { Mesh } from "../support/mesh.ts";
import { freePort } from "../support/process-mesh.ts";
import { listening, metricsOf, portOf, serverManifest, sum, until } from "./pair.ts";

/** The cases of gRPC through two sidecars, with the interoperability set of gRPC's own (doc/interop-test-descriptions.md). */
const LIFETIME_MS = 3_000;
const REFRESH = { LINKERD2_PROXY_IDENTITY_MIN_REFRESH: "100ms" };

/** What a request asks for: one response message per size, then that status. What is sent along is padding. */
interface Wanted {
  readonly sizes: readonly number[];
  readonly status?: { readonly code: status; readonly message: string };
}

function request(wanted: Wanted, padding = 0): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify(wanted)}\n`), Buffer.alloc(padding)]);
}

/** An empty message asks for one empty message. */
function wantedBy(message: Buffer): Wanted {
  if (message.length === 0) return { sizes: [0] };
  // The test made it with `request`.
  return JSON.parse(message.subarray(0, message.indexOf("\n")).toString()) as Wanted;
}

const same = (bytes: Buffer): Buffer => bytes;
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/interop.Test/${name}`,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});
const SERVICE = {
  unary: method("Unary", false, false),
  input: method("Input", true, false),
  output: method("Output", false, true),
  duplex: method("Duplex", true, true),
  sleep: method("Sleep", true, true),
};
const INITIAL = "x-grpc-test-echo-initial";
const TRAILING = "x-grpc-test-echo-trailing-bin";

interface Echoed {
  readonly metadata: Metadata;
  sendMetadata(metadata: Metadata): void;
}

/** Sends the initial metadata back, and returns the trailing one. */
function echoMetadata(call: Echoed): Metadata {
  const initial = new Metadata();
  for (const value of call.metadata.get(INITIAL)) initial.set(INITIAL, value);
  call.sendMetadata(initial);
  const trailing = new Metadata();
  for (const value of call.metadata.get(TRAILING)) trailing.set(TRAILING, value);
  return trailing;
}

describe("gRPC cases through two sidecars", { timeout: 60_000 }, () => {
  const server = new Server();
  const sessions = new Set<ServerHttp2Session>();
  const cancelledAtMs: number[] = [];
  let bare: Http2Server;
  let mesh: Mesh;
  let clientProxy: RunningProxy;
  let serverProxy: RunningProxy;
  let client: Client;
  let bareClient: Client;

  before(async () => {
    server.addService(SERVICE, {
      unary: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
        const trailing = echoMetadata(call);
        const wanted = wantedBy(call.request);
        if (wanted.status !== undefined)
          return reply({ code: wanted.status.code, details: wanted.status.message }, null, trailing);
        return reply(null, Buffer.alloc(wanted.sizes[0] ?? 0), trailing);
      },
      input: (call: ServerReadableStream<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
        let bytes = 0;
        call.on("data", (message: Buffer) => (bytes += message.length));
        call.on("end", () => reply(null, Buffer.from(String(bytes))));
        call.on("cancelled", () => cancelledAtMs.push(performance.now()));
      },
      output: (call: ServerWritableStream<Buffer, Buffer>) => {
        for (const size of wantedBy(call.request).sizes) call.write(Buffer.alloc(size));
        call.end();
      },
      duplex: (call: ServerDuplexStream<Buffer, Buffer>) => {
        const trailing = echoMetadata(call);
        call.on("cancelled", () => cancelledAtMs.push(performance.now()));
        call.on("data", (message: Buffer) => {
          const wanted = wantedBy(message);
          if (wanted.status !== undefined) {
            call.emit("error", { code: wanted.status.code, details: wanted.status.message });
            return;
          }
          for (const size of wanted.sizes) call.write(Buffer.alloc(size));
        });
        call.on("end", () => call.end(trailing));
      },
      sleep: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on("data", () => {});
        call.on("cancelled", () => {});
      },
    });
    const grpcPort = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    bare = await listening(
      createServer((incoming, response) => {
        incoming.resume();
        if (incoming.url === "/bare/TrailersOnly") {
          // One HEADERS frame that ends the stream.
          const head = {
            ":status": 200,
            "content-type": "application/grpc",
            "grpc-status": "13",
            "grpc-message": "no",
          };
          response.stream.respond(head, { endStream: true });
        } else {
          // A message, and then an end without a status.
          response.writeHead(200, { "content-type": "application/grpc" });
          response.end(Buffer.from([0, 0, 0, 0, 1, 7]));
        }
      }),
    );
    bare.on("session", (session) => {
      sessions.add(session);
      session.on("close", () => sessions.delete(session));
    });
    const ports = { grpc: grpcPort, bare: portOf(bare) };
    mesh = await Mesh.start({
      workloads: [
        { name: "client", ports: {}, proxyPort: await freePort() },
        { name: "web", ports, proxyPort: await freePort() },
      ],
      identityLifetimeMs: LIFETIME_MS,
    });
    const forwards = Object.values(ports).map(async (port) => [await freePort(), port] as const);
    const pairs = await Promise.all(forwards);
    serverProxy = await mesh.proxy("web", {
      ...REFRESH,
      LINKERD2_PROXY_INBOUND_PORTS: Object.values(ports).join(","),
    });
    clientProxy = await mesh.proxy("client", {
      ...REFRESH,
      OUTRIGGER_FORWARD: pairs
        .map(([from, to]) => `127.0.0.1:${from}=web.${NAMESPACE}.svc.cluster.local:${to}`)
        .join(","),
    });
    const [first, second] = pairs.map(
      ([from]) => new Client(`127.0.0.1:${from}`, credentials.createInsecure()),
    );
    assert.ok(first !== undefined && second !== undefined);
    client = first;
    bareClient = second;
  });

  after(async () => {
    client.close();
    bareClient.close();
    server.forceShutdown();
    for (const session of sessions) session.destroy();
    bare.close();
    await mesh.close();
  });

  interface Outcome {
    readonly error: ServiceError | null;
    readonly value: Buffer | undefined;
    readonly header: Metadata;
    readonly status: StatusObject;
  }

  const unary = (to: Client, path: string, message: Buffer, metadata = new Metadata()): Promise<Outcome> =>
    new Promise((resolve) => {
      let header = new Metadata();
      let result: { error: ServiceError | null; value: Buffer | undefined } = {
        error: null,
        value: undefined,
      };
      to.makeUnaryRequest(path, same, same, message, metadata, (error, value) => (result = { error, value }))
        .on("metadata", (got: Metadata) => (header = got))
        .on("status", (got) => setImmediate(() => resolve({ ...result, header, status: got })));
    });
  const duplex = (path: string, metadata = new Metadata(), options = {}) => {
    const call = client.makeBidiStreamRequest(path, same, same, metadata, options);
    const ended = new Promise<StatusObject>((resolve) => call.once("status", resolve));
    // The status tells what an error tells.
    call.on("error", () => {});
    return { call, ended };
  };
  const messageOf = async (call: ReturnType<typeof duplex>["call"]): Promise<Buffer> => {
    const [message] = (await once(call, "data")) as [Buffer];
    return message;
  };
  const metadataOf = (): Metadata => {
    const metadata = new Metadata();
    metadata.set(INITIAL, "test_initial_metadata_value");
    metadata.set(TRAILING, Buffer.from("ababab", "hex"));
    return metadata;
  };
  const checkEchoed = (header: Metadata, trailing: Metadata): void => {
    assert.deepEqual(header.get(INITIAL), ["test_initial_metadata_value"]);
    assert.deepEqual(trailing.get(TRAILING), [Buffer.from("ababab", "hex")]);
  };

  test("GR-10 empty_unary", async () => {
    const { error, value } = await unary(client, SERVICE.unary.path, Buffer.alloc(0));
    assert.deepEqual([error, value?.length], [null, 0]);
  });

  test("GR-10 large_unary", async () => {
    const { error, value } = await unary(client, SERVICE.unary.path, request({ sizes: [314_159] }, 271_828));
    assert.deepEqual([error, value?.length], [null, 314_159]);
  });

  test("GR-10 client_streaming", async () => {
    const total = await new Promise<Buffer | undefined>((resolve, reject) => {
      const call = client.makeClientStreamRequest(SERVICE.input.path, same, same, (error, value) =>
        error === null ? resolve(value) : reject(error),
      );
      for (const size of [27_182, 8, 1_828, 45_904]) call.write(Buffer.alloc(size));
      call.end();
    });
    assert.equal(total?.toString(), "74922");
  });

  test("GR-10 server_streaming", async () => {
    const sizes = [31_415, 9, 2_653, 58_979];
    const call = client.makeServerStreamRequest(SERVICE.output.path, same, same, request({ sizes }));
    const got: number[] = [];
    call.on("data", (message: Buffer) => got.push(message.length));
    const [ended] = (await once(call, "status")) as [StatusObject];
    assert.equal(ended.code, status.OK);
    assert.deepEqual(got, sizes);
  });

  test("GR-10 ping_pong", async () => {
    const { call, ended } = duplex(SERVICE.duplex.path);
    for (const [sent, size] of [
      [27_182, 31_415],
      [8, 9],
      [1_828, 2_653],
      [45_904, 58_979],
    ] as const) {
      call.write(request({ sizes: [size] }, sent));
      assert.equal((await messageOf(call)).length, size);
    }
    call.end();
    assert.equal((await ended).code, status.OK);
  });

  test("GR-10 empty_stream", async () => {
    const { call, ended } = duplex(SERVICE.duplex.path);
    let messages = 0;
    call.on("data", () => messages++);
    call.end();
    assert.equal((await ended).code, status.OK);
    assert.equal(messages, 0);
  });

  test("GR-10 custom_metadata", async () => {
    const one = await unary(client, SERVICE.unary.path, request({ sizes: [1] }), metadataOf());
    checkEchoed(one.header, one.status.metadata);
    const { call, ended } = duplex(SERVICE.duplex.path, metadataOf());
    const header = once(call, "metadata") as Promise<[Metadata]>;
    call.write(request({ sizes: [1] }));
    await messageOf(call);
    call.end();
    checkEchoed((await header)[0], (await ended).metadata);
  });

  test("GR-10 status_code_and_message", async () => {
    const wanted = { sizes: [], status: { code: status.UNKNOWN, message: "test status message" } };
    const { error } = await unary(client, SERVICE.unary.path, request(wanted));
    assert.deepEqual([error?.code, error?.details], [status.UNKNOWN, "test status message"]);
    const { call, ended } = duplex(SERVICE.duplex.path);
    call.resume();
    call.write(request(wanted));
    const { code, details } = await ended;
    assert.deepEqual([code, details], [status.UNKNOWN, "test status message"]);
  });

  test("GR-10 special_status_message", async () => {
    const message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
    const { error } = await unary(
      client,
      SERVICE.unary.path,
      request({ sizes: [], status: { code: status.UNKNOWN, message } }),
    );
    assert.deepEqual([error?.code, error?.details], [status.UNKNOWN, message]);
  });

  test("GR-10 unimplemented_method", async () => {
    const { error } = await unary(client, "/interop.Test/Unimplemented", Buffer.alloc(0));
    assert.equal(error?.code, status.UNIMPLEMENTED);
  });

  test("GR-10 cancel_after_begin", async () => {
    const call = client.makeClientStreamRequest(SERVICE.input.path, same, same, () => {});
    const ended = once(call, "status") as Promise<[StatusObject]>;
    call.cancel();
    assert.equal((await ended)[0].code, status.CANCELLED);
  });

  test("GR-10 cancel_after_first_response", async () => {
    const { call, ended } = duplex(SERVICE.duplex.path);
    call.write(request({ sizes: [31_415] }, 27_182));
    assert.equal((await messageOf(call)).length, 31_415);
    call.cancel();
    assert.equal((await ended).code, status.CANCELLED);
  });

  test("GR-10 timeout_on_sleeping_server", async () => {
    const { call, ended } = duplex(SERVICE.sleep.path, new Metadata(), { deadline: Date.now() + 1 });
    call.write(request({ sizes: [] }, 27_182));
    assert.equal((await ended).code, status.DEADLINE_EXCEEDED);
  });

  test("GR-03 GR-04 a status in the head classifies a call; one that is missing counts as UNKNOWN", async () => {
    const counted = async (labels: Record<string, string>): Promise<number> =>
      sum(await metricsOf(clientProxy), "response_total", { direction: "outbound", ...labels });
    const unknownBefore = await counted({ grpc_status: "2" });
    const failedBefore = await counted({ grpc_status: "2", classification: "failure" });
    const only = await unary(bareClient, "/bare/TrailersOnly", Buffer.alloc(0));
    assert.deepEqual([only.error?.code, only.error?.details], [status.INTERNAL, "no"]);
    await until("the first is counted", async () => (await counted({ grpc_status: "13" })) === 1);
    assert.equal(await counted({ grpc_status: "13", classification: "failure" }), 1);
    // Relayed as it is: the client finds out by itself that the status is missing.
    const none = await unary(bareClient, "/bare/NoStatus", Buffer.alloc(0));
    assert.notEqual(none.error, null);
    await until(
      "the second is counted",
      async () => (await counted({ grpc_status: "2" })) === unknownBefore + 1,
    );
    // Nobody can tell such an end from a client that left early: it is no failure of the server.
    assert.equal(await counted({ grpc_status: "2", classification: "failure" }), failedBefore);
  });

  test("GR-07 a cancellation is at the application within 100ms", async () => {
    const { call, ended } = duplex(SERVICE.duplex.path);
    call.write(request({ sizes: [1] }));
    await messageOf(call);
    cancelledAtMs.length = 0;
    const atMs = performance.now();
    call.cancel();
    await ended;
    await until("the application hears of it", () => cancelledAtMs.length === 1);
    assert.ok((cancelledAtMs[0] ?? Infinity) - atMs < 100);
  });

  test("GR-08 a stream outlives its certificates, and changes of endpoints and of policy that still allow it", async () => {
    const { call, ended } = duplex(SERVICE.duplex.path);
    const ping = async (): Promise<void> => {
      call.write(request({ sizes: [3] }));
      assert.equal((await messageOf(call)).length, 3);
    };
    await ping();
    const renewals = async (proxy: RunningProxy): Promise<number> =>
      sum(await metricsOf(proxy), "control_identity_cert_refreshes_total", { result: "ok" });
    const before = { client: await renewals(clientProxy), server: await renewals(serverProxy) };

    const manifest = (name: string, text: string): Promise<void> =>
      writeFile(join(mesh.dir, "resources", `${name}.yaml`), text);
    const allowed = async (): Promise<number> =>
      sum(await metricsOf(serverProxy), "inbound_http_authz_allow_total", { authz_name: "friends-only" });
    await manifest("server", serverManifest("grpc", "grpc", "gRPC") + authorization());
    await until("the policy holds", async () => {
      const { error } = await unary(client, SERVICE.unary.path, Buffer.alloc(0));
      assert.equal(error, null);
      return (await allowed()) > 0;
    });
    await ping();

    // Another endpoint comes, and goes.
    await manifest("second", secondEndpoint(await freePort()));
    await ping();
    await manifest("second", "");
    await ping();

    await until("both sides have new certificates", async () => {
      await ping();
      return (await renewals(clientProxy)) > before.client && (await renewals(serverProxy)) > before.server;
    });
    await ping();
    call.end();
    assert.equal((await ended).code, status.OK);
  });
});

function authorization(): string {
  return `
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: { name: friends, namespace: ${NAMESPACE} }
spec: { identities: [${identityOf("client")}] }
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: { name: friends-only, namespace: ${NAMESPACE} }
spec:
  targetRef: { group: policy.linkerd.io, kind: Server, name: grpc }
  requiredAuthenticationRefs:
    - { group: policy.linkerd.io, kind: MeshTLSAuthentication, name: friends }
`;
}

/** A second workload of the Service, at which nobody listens: it never becomes ready, so nothing is sent there. */
function secondEndpoint(port: number): string {
  return `
apiVersion: workload.linkerd.io/v1beta1
kind: ExternalWorkload
metadata: { name: web-2, namespace: ${NAMESPACE}, labels: { app: web } }
spec:
  meshTLS: { identity: ${identityOf("web")}, serverName: ${identityOf("web")} }
  workloadIPs: [{ ip: 127.0.0.2 }]
  ports:
    - { name: grpc, port: ${port} }
    - { name: bare, port: ${port} }
    - { name: linkerd-proxy, port: ${port} }
`;
}
