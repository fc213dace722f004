import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import {
  AUTHORITY,
  METHOD,
  PATH,
  RequestHead,
  SCHEME_HTTP,
  type HttpService,
  type HttpVersion,
  type ResponseHead,
  type ResponseSink,
  type Sink,
} from "../../src/http/message.ts";
import { RescueService, respondWith, type RescueOptions } from "../../src/http/respond.ts";
import { headerField } from "../../src/wire/header-field.ts";
import { fieldsOf, responseHead, send, textOf } from "../support/recording-app.ts";

/** A client that writes down what it gets. */
class Client implements ResponseSink {
  readonly events: string[] = [];
  closes = false;
  credited = 0;

  head(head: ResponseHead, last: boolean): void {
    this.closes = head.closeConnection;
    this.events.push(`${head.status} [${textOf(head.fields).join("; ")}]${last ? " last" : ""}`);
  }
  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.events.push(`data ${buffer.toString("latin1", start, end)}${last ? " last" : ""}`);
  }
  trailers(fields: Parameters<Sink["trailers"]>[0]): void {
    this.events.push(`trailers [${textOf(fields).join("; ")}]`);
  }
  reset(error: ProxyError): void {
    this.events.push(`reset ${error.code}`);
  }
  credit(bytes: number): void {
    this.credited += bytes;
  }
}

/** A server that does nothing by itself. */
class Server implements HttpService {
  response: ResponseSink | undefined;
  readonly got: string[] = [];

  call(_head: RequestHead, _last: boolean, response: ResponseSink): Sink {
    this.response = response;
    return {
      data: (buffer, start, end) => this.got.push(buffer.toString("latin1", start, end)),
      trailers: () => this.got.push("trailers"),
      reset: (error) => this.got.push(`reset ${error.code}`),
      credit: (bytes) => this.got.push(`credit ${bytes}`),
    };
  }
}

function setUp(
  options: Partial<RescueOptions> = {},
  version: HttpVersion = 20,
  fields: readonly string[] = [],
  last = false,
) {
  const errors: string[] = [];
  const server = new Server();
  const client = new Client();
  const service = new RescueService(server, {
    table: [
      { code: "io", rescue: respondWith(502, 14, "close") },
      { code: "unauthorized", rescue: respondWith(403, 7, "keep") },
      { code: "h2_reset", rescue: { kind: "reset" } },
    ],
    outermost: true,
    informationalHeaders: true,
    onError: (error) => errors.push(error.code),
    ...options,
  });
  const head = new RequestHead(
    version,
    headerField(METHOD, "POST"),
    SCHEME_HTTP,
    headerField(AUTHORITY, "web"),
    headerField(PATH, "/"),
    fieldsOf(fields),
    0,
  );
  const request = service.call(head, last, client);
  return { errors, server, client, request };
}

const io = new ProxyError("io", "connection refused");

test("an error becomes the response of its row, with the reason, and asks for the connection to close", () => {
  const { client, server, errors } = setUp();
  server.response?.reset(io);
  assert.deepEqual(client.events, [
    "502 [content-length: 0; l5d-proxy-error: connection refused; l5d-proxy-connection: close] last",
  ]);
  assert.equal(client.closes, true);
  assert.deepEqual(errors, ["io"]);
});

test("a row that keeps the connection does not ask for its end, and a stranger is not told why", () => {
  const { client, server } = setUp({ informationalHeaders: false });
  server.response?.reset(new ProxyError("unauthorized", "unauthorized request on route"));
  assert.deepEqual(client.events, ["403 [content-length: 0] last"]);
  assert.equal(client.closes, false);
});

test("an error without a row is a 500 that keeps its message to itself", () => {
  const { client, server } = setUp();
  server.response?.reset(new ProxyError("invalid_policy", "secret"));
  assert.match(client.events.join(), /^500 \[content-length: 0; l5d-proxy-error: unexpected error;/);
});

test("an inner edge passes errors without a row on", () => {
  const { client, server, errors } = setUp({ outermost: false });
  server.response?.reset(new ProxyError("failfast", "service in fail-fast"));
  assert.deepEqual(client.events, ["reset failfast"]);
  assert.deepEqual(errors, []);
});

test("a gRPC request gets a status in a response of 200, its message encoded", () => {
  const { client, server } = setUp({ prefix: "client x" }, 20, ["content-type: application/grpc+proto"]);
  server.response?.reset(new ProxyError("io", "r\u00e9fus\r\n"));
  assert.deepEqual(client.events, [
    "200 [content-length: 0; content-type: application/grpc; grpc-status: 14; grpc-message: client x: r%C3%A9fus%0D%0A; l5d-proxy-error: unexpected error; l5d-proxy-connection: close] last",
  ]);
});

test("a gRPC body that breaks off ends in a status; any other body visibly breaks off", () => {
  const grpc = setUp({}, 20, ["content-type: application/grpc"]);
  grpc.server.response?.head(responseHead(200), false);
  grpc.server.response?.reset(io);
  assert.deepEqual(grpc.client.events.slice(1), [
    "trailers [grpc-status: 14; grpc-message: connection refused]",
  ]);
  const plain = setUp();
  plain.server.response?.head(responseHead(200), false);
  plain.server.response?.reset(io);
  assert.deepEqual(plain.client.events.slice(1), ["reset io"]);
});

test("a reset that passes through keeps its code", () => {
  const { client, server } = setUp();
  server.response?.reset(new ProxyError("h2_reset", "reset", { h2Code: 7 }));
  assert.deepEqual(client.events, ["reset h2_reset"]);
});

test("after a response of ours the rest of the request is taken and dropped, with credit for what was under way", () => {
  const { client, server, request } = setUp();
  send(request, "0123456789", false);
  server.response?.credit(4);
  assert.equal(client.credited, 4);
  server.response?.reset(io);
  assert.equal(client.credited, 10);
  // A service that failed may still credit what it had: that was given back already.
  server.response?.credit(6);
  assert.equal(client.credited, 10);
  send(request, "abcdef", true);
  request.credit(1);
  request.reset(new ProxyError("canceled", "gone"));
  assert.equal(client.credited, 16);
  assert.deepEqual(server.got, ["0123456789"]);
});

test("while all is well the request passes untouched", () => {
  const { server, request } = setUp();
  send(request, "body", false);
  request.credit(3);
  request.trailers([]);
  request.reset(new ProxyError("canceled", "gone"));
  assert.deepEqual(server.got, ["body", "credit 3", "trailers", "reset canceled"]);
});
