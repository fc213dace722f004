import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { H2Client } from "../../src/http/client/h2.ts";
import { H2Server } from "../../src/http/server/h2.ts";
import { H2_STREAM_SEND_BUFFER_BYTES } from "../../src/wire/limits.ts";
import {
  bodyOf,
  BodySource,
  field,
  RecordingSink,
  requestHead,
  responseHead,
  ScriptedService,
  sha256,
} from "../support/h2-exchange.ts";
import { MemoryPair } from "../support/memory-transport.ts";

/** client - front - (server, client: the proxy) - back - origin. */
class Chain {
  readonly front = new MemoryPair();
  readonly back = new MemoryPair();
  readonly client: H2Client;
  readonly proxyClient: H2Client;
  readonly proxyServer: H2Server;
  readonly origin: H2Server;

  constructor(service: ScriptedService, streamWindowBytes = 65_535) {
    this.origin = new H2Server(this.back.right, service, { streamWindowBytes });
    this.proxyClient = new H2Client(this.back.left);
    this.proxyServer = new H2Server(this.front.right, this.proxyClient);
    this.client = new H2Client(this.front.left, { streamWindowBytes });
  }

  settle(): void {
    for (let before = -1; before !== this.#moved();) {
      before = this.#moved();
      this.front.settle();
      this.back.settle();
    }
  }

  #moved(): number {
    const { front, back } = this;
    return (
      front.left.bytesWritten + front.right.bytesWritten + back.left.bytesWritten + back.right.bytesWritten
    );
  }
}

function echo(): ScriptedService {
  return new ScriptedService(({ request, response }) => {
    // What comes goes back at once; it is credited when it has left.
    request.holding = true;
    response.head(responseHead(200, field("x-origin", "1")), false);
    request.data = (buffer, start, end, last) => response.data(buffer, start, end, last);
    request.credit = (bytes) => response.credit(bytes);
    request.trailers = (fields) => response.trailers(fields);
  });
}

test("an echo of 5 MiB through a proxy is unchanged, with small windows at both ends", () => {
  for (const window of [2000, 65_535]) {
    const chain = new Chain(echo(), window);
    const body = bodyOf(5 * 1024 * 1024);
    const source = new BodySource(body, 65_535, 9000);
    const sink = new RecordingSink();
    sink.collect = false;
    sink.onEvent = (event) => {
      if (event !== "credit") return;
      source.credit(sink.credited);
      sink.credited = 0;
    };
    const request = chain.client.call(requestHead("POST", "/"), false, sink);
    sink.source = request;
    source.start(request);
    chain.settle();
    assert.equal(sink.digest(), sha256(body));
    assert.equal(sink.response?.fields[0]?.value, "1");
    assert.equal(chain.proxyServer.openStreams, 0);
    assert.equal(chain.proxyClient.openStreams, 0);
  }
});

/** Streams ask for 1 MB each from an origin that would send all of it; the client stops reading. Gives what was taken. */
function takenFromOrigin(streams: number): number {
  const down = bodyOf(1_000_000);
  const chain = new Chain(
    new ScriptedService(({ response }) => {
      response.head(responseHead(200), false);
      response.data(down, 0, down.length, true);
    }),
  );
  const sinks = Array.from({ length: streams }, (_, i) => {
    const sink = new RecordingSink();
    sink.collect = false;
    sink.source = chain.client.call(requestHead("GET", `/${i}`), true, sink);
    return sink;
  });
  chain.front.settle();
  chain.front.left.stalled = true;
  chain.settle();
  const taken = chain.back.right.bytesWritten;
  assert.ok(chain.front.right.mostWaiting < 65_536 + 40_000);
  chain.front.left.stalled = false;
  chain.settle();
  for (const sink of sinks) assert.equal(sink.digest(), sha256(down));
  return taken;
}

test("a client that does not read stops the origin: what the proxy takes for one stream is bounded", () => {
  const taken = takenFromOrigin(1);
  assert.ok(taken > 65_535 && taken < H2_STREAM_SEND_BUFFER_BYTES, `${taken} bytes taken from the origin`);
});

test("a client that does not read stops the origin: what the proxy takes for all streams is bounded", () => {
  const taken = takenFromOrigin(100);
  // The window of the connection to the origin, what was credited before the output was full, and frame headers.
  assert.ok(taken < 1_048_576 + 65_536 + 100_000, `${taken} bytes taken from the origin`);
});

test("a reset travels through a proxy with its code, in both directions", () => {
  const service = new ScriptedService();
  const chain = new Chain(service);
  const refused = new RecordingSink();
  chain.client.call(requestHead("GET", "/"), true, refused);
  const canceled = chain.client.call(requestHead("POST", "/"), false, new RecordingSink());
  chain.settle();
  service.at(0).response.reset(new ProxyError("h2_reset", "refused", { h2Code: 7 }));
  chain.settle();
  canceled.reset(new ProxyError("canceled", "gone"));
  chain.settle();
  assert.equal(refused.error?.detail.h2Code, 7);
  assert.equal(service.at(1).request.error?.code, "canceled");
});
