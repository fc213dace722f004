import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import {
  ACCESS_LOG_VALUE_MAX,
  formatAccessLog,
  type LoggedRequest,
  type LoggedResponse,
} from "../../src/http/access-log-line.ts";

const REQUEST: LoggedRequest = {
  timestamp: "2026-11-28T10:20:30.123Z",
  clientAddr: "192.0.2.1:4711",
  clientId: "web.shop.serviceaccount.identity.linkerd.cluster.local",
  method: "POST",
  uri: "http://books.test/buy?n=1",
  version: 20,
  host: "",
  userAgent: "curl/8.0",
  traceId: "4bf92f35",
  requestBytes: "12",
};
const RESPONSE: LoggedResponse = {
  status: 201,
  responseBytes: "345",
  totalNs: 2_000_001,
  processingNs: 50_000,
};

describe("a line of the access log", () => {
  test("inbound 8: as Apache writes it", () => {
    for (const [request, response, line] of [
      [
        REQUEST,
        RESPONSE,
        '192.0.2.1:4711 web.shop.serviceaccount.identity.linkerd.cluster.local - [2026-11-28T10:20:30.123Z] "POST http://books.test/buy?n=1 HTTP/2.0" 201',
      ],
      [
        { ...REQUEST, clientId: "-", clientAddr: "[2001:db8::1]:1", version: 11, uri: "/" },
        { ...RESPONSE, status: 503 },
        '[2001:db8::1]:1 - - [2026-11-28T10:20:30.123Z] "POST / HTTP/1.1" 503',
      ],
      [
        { ...REQUEST, clientId: "-", version: 10 },
        undefined,
        '192.0.2.1:4711 - - [2026-11-28T10:20:30.123Z] "POST http://books.test/buy?n=1 HTTP/1.0"',
      ],
    ] as const) {
      assert.equal(formatAccessLog("apache", request, response), `${line}\n`);
    }
  });

  test("inbound 8: as JSON, members in alphabetical order, all text but the status", () => {
    assert.equal(
      formatAccessLog("json", REQUEST, RESPONSE),
      '{"client.addr":"192.0.2.1:4711","client.id":"web.shop.serviceaccount.identity.linkerd.cluster.local",' +
        '"host":"","method":"POST","processing_ns":"50000","request_bytes":"12","response_bytes":"345",' +
        '"status":201,"timestamp":"2026-11-28T10:20:30.123Z","total_ns":"2000001","trace_id":"4bf92f35",' +
        '"uri":"http://books.test/buy?n=1","user_agent":"curl/8.0","version":"HTTP/2.0"}\n',
    );
    for (const response of [RESPONSE, { ...RESPONSE, responseBytes: undefined }, undefined]) {
      const members = Object.keys(JSON.parse(formatAccessLog("json", REQUEST, response)) as object);
      assert.deepEqual(members, members.toSorted());
    }
  });

  test("inbound 8: a response without length has no such member, a request without response none of its own", () => {
    const members = (response: LoggedResponse | undefined): string[] =>
      Object.keys(JSON.parse(formatAccessLog("json", REQUEST, response)) as object);
    const all = members(RESPONSE);
    assert.equal(all.length, 14);
    assert.deepEqual(
      members({ ...RESPONSE, responseBytes: undefined }),
      all.filter((name) => name !== "response_bytes"),
    );
    const ofResponse = ["response_bytes", "status", "total_ns", "processing_ns"];
    assert.deepEqual(
      members(undefined),
      all.filter((name) => !ofResponse.includes(name)),
    );
  });

  test("what a client forges stays inside of its field", () => {
    const forged = {
      ...REQUEST,
      uri: '/" 200\r\n192.0.2.9:1 - - "GET \\x',
      userAgent: '","status":200,"x":"é\u007f',
    };
    assert.match(
      formatAccessLog("apache", forged, RESPONSE),
      /"POST \/\\" 200\\x0d\\x0a192\.0\.2\.9:1 - - \\"GET \\\\x HTTP\/2\.0" 201\n$/,
    );
    const line = formatAccessLog("json", forged, RESPONSE);
    assert.match(line, /\\u00e9\\u007f/);
    assert.equal((JSON.parse(line) as { user_agent: string }).user_agent, forged.userAgent);
  });

  test("AD-08 whatever bytes there are, it is one line of printable ASCII, and JSON gives them back", () => {
    const bytes = fc.string({
      unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    });
    fc.assert(
      fc.property(bytes, bytes, bytes, bytes, fc.boolean(), (uri, host, userAgent, id, answered) => {
        const request = { ...REQUEST, uri, host, userAgent, clientId: id, traceId: uri, requestBytes: host };
        const response = answered ? { ...RESPONSE, responseBytes: userAgent } : undefined;
        const json = formatAccessLog("json", request, response);
        const apache = formatAccessLog("apache", request, response);
        for (const line of [json, apache]) assert.match(line, /^[\x20-\x7e]*\n$/);
        const back = JSON.parse(json) as Record<string, unknown>;
        assert.deepEqual([back["uri"], back["host"], back["user_agent"]], [uri, host, userAgent]);
        assert.deepEqual([back["client.id"], back["response_bytes"]], [id, response?.responseBytes]);
        // Between the timestamp and the status stands exactly one quoted text.
        assert.match(apache, /\] "POST (?:[^"\\]|\\["\\]|\\x[0-9a-f]{2})* HTTP\/2\.0"(?: 201)?\n$/);
      }),
    );
  });

  test("a value that would fill the log is cut", () => {
    const long = { ...REQUEST, uri: "/".repeat(60_000), userAgent: "\u0000".repeat(400_000) };
    assert.ok(formatAccessLog("apache", long, RESPONSE).length < ACCESS_LOG_VALUE_MAX + 300);
    assert.ok(formatAccessLog("json", long, RESPONSE).length < 8 * ACCESS_LOG_VALUE_MAX);
  });
});
