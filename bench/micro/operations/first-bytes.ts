/** What a connection begins with, before its protocol is known. */
import assert from "node:assert/strict";
import { parseDnsName } from "../../../src/addr/dns-name.ts";
import { parseClientHello } from "../../../src/wire/client-hello.ts";
import { encodeTransportHeader, parseTransportHeader } from "../../../src/wire/transport-header.ts";
import { alpn, hello, serverName } from "../../../test/support/client-hello.ts";
import { operation, type Operation } from "../operation.ts";

const HOST = "web.shop.serviceaccount.identity.linkerd.cluster.local";

export function firstBytes(): readonly Operation[] {
  return [transportHeader(), clientHello()];
}

function transportHeader(): Operation {
  const name = parseDnsName(HOST);
  assert.ok(name.ok);
  const header = { port: 8_080, name: name.value, sessionProtocol: "http2" } as const;
  const bytes = encodeTransportHeader(header);
  return operation(
    "transport header: port, name and protocol",
    () => parseTransportHeader(bytes),
    (result) => assert.deepEqual(result, { kind: "header", header, length: bytes.length }),
  );
}

function clientHello(): Operation {
  const protocols = ["transport.l5d.io/v1", "h2"];
  const bytes = hello({ extensions: [...serverName(HOST), ...alpn(...protocols)] });
  return operation(
    "ClientHello: SNI and ALPN",
    () => parseClientHello(bytes),
    (result) => assert.deepEqual(result, { kind: "sni", name: HOST, alpn: protocols }),
  );
}
