import assert from "node:assert/strict";
import { RequestHeadWriter } from "../../../src/http/client/h1-request-head.ts";
import { BodyWriter } from "../../../src/http/h1-body-writer.ts";
import { RequestHead, ResponseHead, statusField } from "../../../src/http/message.ts";
import { ServerExchange, type ExchangeOwner } from "../../../src/http/server/h1-exchange.ts";
import type { HeaderField } from "../../../src/wire/header-field.ts";
import { operation, type Operation } from "../operation.ts";
import { OneBufferTransport } from "./one-buffer-transport.ts";
import { fresh, lines, REQUEST_ID, shared } from "./sample-fields.ts";

const REQUEST_FIELDS: readonly HeaderField[] = [
  shared("host", "web.shop.svc.cluster.local:8080"),
  shared("user-agent", "curl/8.9.1"),
  shared("accept", "application/json"),
  shared("accept-encoding", "gzip, deflate, br"),
  shared("cookie", "session=6f1ed002ab5595859014ebf0951522d9"),
  shared("l5d-client-id", "web.shop.serviceaccount.identity.linkerd.cluster.local"),
];

const RESPONSE_FIELDS: readonly HeaderField[] = [
  shared("content-type", "application/json; charset=utf-8"),
  shared("content-length", "1024"),
  shared("date", "Tue, 24 Nov 2026 10:00:00 GMT"),
  shared("cache-control", "no-store"),
  shared("server", "shop"),
];

const NEW_FIELD = fresh("x-request-id", REQUEST_ID);

/** Heads into the output buffer, by the code that the connections use. */
export function http1Write(): readonly Operation[] {
  return [
    writeRequest("HTTP/1 write: request head, shared fields", REQUEST_FIELDS),
    writeRequest("HTTP/1 write: request head, one fresh field", [...REQUEST_FIELDS, NEW_FIELD]),
    writeResponse("HTTP/1 write: response head, shared fields", RESPONSE_FIELDS),
    writeResponse("HTTP/1 write: response head, one fresh field", [...RESPONSE_FIELDS, NEW_FIELD]),
  ];
}

function writeRequest(name: string, fields: readonly HeaderField[]): Operation {
  const path = shared(":path", "/api/products/42?currency=EUR");
  const head = new RequestHead(11, shared(":method", "GET"), undefined, undefined, path, [...fields], 0);
  const writer = new RequestHeadWriter();
  const transport = new OneBufferTransport();
  return operation(
    name,
    () => {
      transport.clear();
      transport.writeLatin1(writer.write(head, true) ?? "");
      return transport;
    },
    (output) => assertHead(output, "GET /api/products/42?currency=EUR HTTP/1.1", fields),
  );
}

function writeResponse(name: string, fields: readonly HeaderField[]): Operation {
  const request = new RequestHead(
    11,
    shared(":method", "GET"),
    undefined,
    undefined,
    shared(":path", "/"),
    [],
    0,
  );
  const head = new ResponseHead(11, 200, statusField(200), [...fields]);
  const owner = new Owner();
  return operation(
    name,
    () => {
      owner.transport.clear();
      new ServerExchange(owner, request, false).head(head, false);
      return owner.transport;
    },
    (output) => assertHead(output, "HTTP/1.1 200 OK", fields),
  );
}

function assertHead(output: OneBufferTransport, first: string, fields: readonly HeaderField[]): void {
  const text = output.buffer.toString("latin1", 0, output.waitingBytes);
  assert.equal(text, `${[first, ...lines(fields)].join("\r\n")}\r\n\r\n`);
}

/** A connection that stays open and never gets a body. */
class Owner implements ExchangeOwner {
  readonly transport = new OneBufferTransport();
  readonly writer = new BodyWriter(this.transport, {
    bodyPassed: () => {},
    bodyEnded: () => {},
    bodyBroken: (problem) => assert.fail(problem),
  });

  keepsAlive(): boolean {
    return true;
  }

  mustClose(): void {
    assert.fail("the connection closes");
  }

  responseStarted(): void {}

  responseFailed(error: Error): void {
    throw error;
  }

  requestPassed(): void {}
}
