import assert from "node:assert/strict";
import { once } from "node:events";
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
} from "@grpc/grpc-js";
import { createServer, type Http2Server } from "node:http2";
import { listening, metricsOf, Pair, portOf, serverManifest, sum, until, untilAllClosed } from "./pair.ts";

const same = (bytes: Buffer): Buffer => bytes;
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});

const ECHO = {
  unary: method("Unary", false, false),
  fail: method("Fail", false, false),
  hang: method("Hang", false, false),
  collect: method("Collect", true, false),
  repeat: method("Repeat", false, true),
  chat: method("Chat", true, true),
};

describe("gRPC through two sidecars", { timeout: 30_000 }, () => {
  const server = new Server();
  let raw: Http2Server;
  let pair: Pair;
  let client: Client;
  let closed: Client;
  let bare: Client;
  let canceled = 0;
  let deadlineSeen: Date | number | undefined;

  before(async () => {
    server.addService(ECHO, {
      unary: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
        const trailer = new Metadata();
        trailer.set("x-trailer", "t");
        call.sendMetadata(headers("x-header", String(call.metadata.get("x-sent")[0] ?? "")));
        reply(null, call.request, trailer);
      },
      fail: (_call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
        reply({ code: status.FAILED_PRECONDITION, details: "nicht jetzt: ü%" });
      },
      hang: (call: ServerUnaryCall<Buffer, Buffer>) => {
        deadlineSeen = call.getDeadline();
        call.on("cancelled", () => canceled++);
      },
      collect: (call: ServerReadableStream<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
        let bytes = 0;
        call.on("data", (chunk: Buffer) => (bytes += chunk.length));
        call.on("end", () => reply(null, Buffer.from(String(bytes))));
      },
      repeat: (call: ServerWritableStream<Buffer, Buffer>) => {
        for (let i = 0; i < 100; i++) call.write(call.request);
        call.end();
      },
      chat: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on("data", (chunk: Buffer) => call.write(chunk));
        call.on("end", () => call.end());
        call.on("cancelled", () => canceled++);
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    raw = await listening(
      createServer((request, response) => {
        request.resume();
        // A head and part of a message, and then no status.
        if (request.url === "/test.Echo/Unary") {
          response.writeHead(200, { "content-type": "application/grpc" });
          response.end();
          return;
        }
        response.stream.respond({ ":status": 200, "content-type": "application/grpc" });
        response.stream.write(frame("half"));
        setImmediate(() => response.stream.session?.destroy());
      }),
    );
    pair = await Pair.start({
      ports: { grpc: port, closed: await other(port), raw: portOf(raw) },
      manifests: { "closed.yaml": serverManifest("closed", "closed", "gRPC") },
    });
    const open = (name: string): Client =>
      new Client(`127.0.0.1:${pair.forward(name)}`, credentials.createInsecure());
    client = open("grpc");
    closed = open("closed");
    bare = open("raw");
  });

  after(async () => {
    for (const one of [client, closed, bare]) one.close();
    server.forceShutdown();
    raw.close();
    await pair.close();
  });

  /** A second port that the manifests know; nothing has to listen there, because policy refuses first. */
  const other = async (port: number): Promise<number> => Promise.resolve(port === 65_535 ? 65_534 : port + 1);
  const headers = (name: string, value: string): Metadata => {
    const metadata = new Metadata();
    metadata.set(name, value);
    return metadata;
  };
  const unary = (
    to: Client,
    path: string,
    request: Buffer,
    options = {},
    metadata = new Metadata(),
  ): Promise<{
    error: ServiceError | null;
    value: Buffer | undefined;
    header: Metadata;
    trailer: Metadata;
  }> =>
    new Promise((resolve) => {
      let header = new Metadata();
      let trailer = new Metadata();
      let result: { error: ServiceError | null; value: Buffer | undefined } | undefined;
      const call = to.makeUnaryRequest(path, same, same, request, metadata, options, (error, value) => {
        result = { error, value };
      });
      call.on("metadata", (got: Metadata) => (header = got));
      call.on("status", (got) => {
        trailer = got.metadata;
        setImmediate(() => resolve({ error: result?.error ?? null, value: result?.value, header, trailer }));
      });
    });

  test("a unary call keeps its message, metadata and trailers", async () => {
    const got = await unary(client, "/test.Echo/Unary", Buffer.from("hi"), {}, headers("x-sent", "there"));
    assert.equal(got.error, null);
    assert.equal(got.value?.toString(), "hi");
    assert.deepEqual(got.header.get("x-header"), ["there"]);
    assert.deepEqual(got.trailer.get("x-trailer"), ["t"]);
  });

  test("a megabyte passes whole in both directions", async () => {
    const bytes = Buffer.alloc(1_000_000, "0123456789");
    const got = await unary(client, "/test.Echo/Unary", bytes);
    assert.ok(got.value?.equals(bytes));
  });

  test("an error status of the application arrives with its message, as a trailers-only response too", async () => {
    const { error } = await unary(client, "/test.Echo/Fail", Buffer.from("x"));
    assert.deepEqual([error?.code, error?.details], [status.FAILED_PRECONDITION, "nicht jetzt: ü%"]);
    const missing = await unary(client, "/test.Echo/Nothing", Buffer.from("x"));
    assert.equal(missing.error?.code, status.UNIMPLEMENTED);
  });

  test("client, server and bidirectional streams pass every message in order", async () => {
    const collected = await new Promise<Buffer | undefined>((resolve, reject) => {
      const call = client.makeClientStreamRequest("/test.Echo/Collect", same, same, (error, value) =>
        error === null ? resolve(value) : reject(error),
      );
      for (let i = 0; i < 100; i++) call.write(Buffer.alloc(5_000));
      call.end();
    });
    assert.equal(collected?.toString(), "500000");

    const repeated = client.makeServerStreamRequest(
      "/test.Echo/Repeat",
      same,
      same,
      Buffer.alloc(5_000, "r"),
    );
    let bytes = 0;
    repeated.on("data", (chunk: Buffer) => (bytes += chunk.length));
    await once(repeated, "end");
    assert.equal(bytes, 500_000);

    const chat = client.makeBidiStreamRequest("/test.Echo/Chat", same, same);
    for (const text of ["one", "two", "three"]) {
      chat.write(Buffer.from(text));
      const [echo] = (await once(chat, "data")) as [Buffer];
      assert.equal(echo.toString(), text);
    }
    chat.end();
    chat.resume();
    const [end] = (await once(chat, "status")) as [{ code: number }];
    assert.equal(end.code, status.OK);
  });

  test("a client that cancels ends its call at the application", async () => {
    const before = canceled;
    const chat = client.makeBidiStreamRequest("/test.Echo/Chat", same, same);
    chat.on("error", () => {});
    chat.write(Buffer.from("x"));
    await once(chat, "data");
    chat.cancel();
    await until("the application hears of it", () => canceled === before + 1);
  });

  test("a deadline reaches the application and ends the call", async () => {
    const { error } = await unary(client, "/test.Echo/Hang", Buffer.from("x"), {
      deadline: Date.now() + 300,
    });
    assert.equal(error?.code, status.DEADLINE_EXCEEDED);
    assert.ok(deadlineSeen instanceof Date || Number.isFinite(deadlineSeen));
  });

  test("a call that policy denies gets PERMISSION_DENIED and, being meshed, the reason", async () => {
    const { error } = await unary(closed, "/test.Echo/Unary", Buffer.from("x"));
    assert.equal(error?.code, status.PERMISSION_DENIED);
    assert.match(
      error.details,
      /^client 127\.0\.0\.1:\d+: server: 127\.0\.0\.1:\d+: unauthorized request on route$/,
    );
    // The connection is kept: the next call is refused in the same way.
    assert.equal(
      (await unary(closed, "/test.Echo/Unary", Buffer.from("x"))).error?.code,
      status.PERMISSION_DENIED,
    );
    const page = await metricsOf(pair.server);
    assert.equal(sum(page, "inbound_http_authz_deny_total"), 2);
  });

  test("a response that the application breaks off after its head ends in a status", async () => {
    const call = bare.makeServerStreamRequest("/test.Echo/Repeat", same, same, Buffer.from("x"));
    const got: string[] = [];
    call.on("data", (chunk: Buffer) => got.push(chunk.toString()));
    const [error] = (await once(call, "error")) as [ServiceError];
    assert.deepEqual(got, ["half"]);
    assert.ok([status.UNAVAILABLE, status.INTERNAL, status.CANCELLED].includes(error.code), error.message);
  });

  test("responses are classified by their gRPC status, and nothing stays open", async () => {
    const page = await metricsOf(pair.client);
    const labels = { direction: "outbound", classification: "success", grpc_status: "0" };
    assert.ok(sum(page, "response_total", labels) > 0);
    for (const one of [client, closed, bare]) one.close();
    server.forceShutdown();
    await untilAllClosed(pair.client, "outbound");
    await untilAllClosed(pair.server, "inbound");
  });
});

/** A length-prefixed message. */
function frame(text: string): Buffer {
  const bytes = Buffer.alloc(5 + text.length);
  bytes.writeUInt32BE(text.length, 1);
  bytes.write(text, 5);
  return bytes;
}
