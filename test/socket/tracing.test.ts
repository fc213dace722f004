import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingHttpHeaders, Server as HttpServer } from "node:http";
import {
  connect,
  createServer as createHttp2Server,
  type ClientHttp2Session,
  type Http2Server,
  type OutgoingHttpHeaders,
} from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Client, credentials, Metadata, Server, ServerCredentials } from "@grpc/grpc-js";
import { Collector, type CollectedSpan } from "../telemetry/collector.ts";
import { httpApp, listening, metricsOf, Pair, portOf, sum, until } from "./pair.ts";

const PARENT = "00f067aa0ba902b7";
let traces = 0;
/** A trace of its own for each request. */
const newTrace = (): string => `${"a".repeat(24)}${(++traces).toString(16).padStart(8, "0")}`;
const w3c = (trace: string, flags = "01"): string => `00-${trace}-${PARENT}-${flags}`;
const grpcBin = (trace: string, span: string): Buffer => Buffer.from(`0000${trace}01${span}0201`, "hex");

const same = (bytes: Buffer): Buffer => bytes;
const UNARY = {
  path: "/test.Echo/Unary",
  requestStream: false,
  responseStream: false,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};

describe("a trace through two sidecars", { timeout: 30_000 }, () => {
  const collector = new Collector();
  const heads: IncomingHttpHeaders[] = [];
  const metadata: Metadata[] = [];
  let dir: string;
  let app1: HttpServer;
  let app2: Http2Server;
  const grpcApp = new Server();
  let pair: Pair;
  let http2: ClientHttp2Session;
  let grpc: Client;
  let closed: Promise<void> | undefined;

  before(async () => {
    await collector.start();
    dir = await mkdtemp(join(tmpdir(), "outrigger-tracing-"));
    const labels = join(dir, "labels");
    await writeFile(labels, 'app="web"\nlinkerd.io/workload-ns="shop"\n');
    app1 = await httpApp((request, response) => {
      heads.push(request.headers);
      response.writeHead(request.url === "/missing" ? 404 : 200);
      response.end("ok");
    });
    app2 = await listening(
      createHttp2Server((request, response) => {
        heads.push(request.headers);
        response.end("ok");
      }),
    );
    grpcApp.addService(
      { unary: UNARY },
      {
        unary: (
          call: { metadata: Metadata; request: Buffer },
          reply: (error: null, bytes: Buffer) => void,
        ) => {
          metadata.push(call.metadata);
          reply(null, call.request);
        },
      },
    );
    const grpcPort = await new Promise<number>((resolve, reject) =>
      grpcApp.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      ),
    );
    const gone = await httpApp(() => {});
    const ports = { http1: portOf(app1), http2: portOf(app2), grpc: grpcPort, gone: portOf(gone) };
    gone.close();
    const tracing = {
      LINKERD2_PROXY_TRACE_COLLECTOR_SVC_ADDR: `127.0.0.1:${collector.port}`,
      LINKERD2_PROXY_TRACE_SERVICE_NAME: "linkerd-proxy",
    };
    pair = await Pair.start({
      ports,
      client: { ...tracing, OTEL_RESOURCE_ATTRIBUTES: "service.name=client,team=a" },
      server: {
        ...tracing,
        LINKERD2_PROXY_TRACE_ATTRIBUTES_PATH: labels,
        LINKERD2_PROXY_TRACE_EXTRA_ATTRIBUTES: "k8s.pod.ip=192.0.2.1",
        HOSTNAME: "web-0",
      },
    });
    http2 = connect(pair.url("http2"));
    grpc = new Client(`127.0.0.1:${pair.forward("grpc")}`, credentials.createInsecure());
  });
  after(async () => {
    http2.close();
    grpc.close();
    await (closed ??= pair.close());
    app1.close();
    app2.close();
    grpcApp.forceShutdown();
    collector.kill();
    await rm(dir, { recursive: true });
  });

  async function get1(headers: Record<string, string>, path = "/a?b=c", port = "http1"): Promise<number> {
    const response = await fetch(`${pair.url(port)}${path}`, { headers });
    await response.text();
    return response.status;
  }
  async function get2(headers: OutgoingHttpHeaders): Promise<void> {
    const stream = http2.request({ ":path": "/a?b=c", ...headers });
    stream.resume();
    await once(stream, "close");
  }
  async function getGrpc(trace: string): Promise<void> {
    const sent = new Metadata();
    sent.set("grpc-trace-bin", grpcBin(trace, PARENT));
    await new Promise<void>((resolve, reject) =>
      grpc.makeUnaryRequest(UNARY.path, same, same, Buffer.from("x"), sent, (error) =>
        error === null ? resolve() : reject(error),
      ),
    );
  }

  const sent = {
    http1: newTrace(),
    http2: newTrace(),
    grpc: newTrace(),
    b3: newTrace(),
    unsampled: newTrace(),
    missing: newTrace(),
    gone: newTrace(),
    admin: newTrace(),
  };
  /** The span id that the application saw, by request. */
  const seen = new Map<string, string>();

  test("inbound 10: the application learns a parent of this mesh, in the format that the client chose", async () => {
    await get1({ traceparent: w3c(sent.http1), tracestate: "x=y" });
    const http1 = heads.pop();
    const id1 = new RegExp(`^00-${sent.http1}-([0-9a-f]{16})-01$`).exec(
      http1?.["traceparent"]?.toString() ?? "",
    )?.[1];
    assert.ok(id1 !== undefined && id1 !== PARENT);
    assert.equal(http1?.["tracestate"], "x=y");
    seen.set("http1", id1);

    await get2({ traceparent: w3c(sent.http2) });
    const id2 = heads.pop()?.["traceparent"]?.toString().split("-")[2];
    assert.match(id2 ?? "", /^[0-9a-f]{16}$/);
    seen.set("http2", id2 ?? "");

    await get1({ "x-b3-traceid": sent.b3, "x-b3-spanid": PARENT, "x-b3-sampled": "1" });
    const b3 = heads.pop();
    assert.equal(b3?.["x-b3-traceid"], sent.b3);
    assert.equal(b3?.["traceparent"], undefined);
    seen.set("b3", String(b3?.["x-b3-spanid"]));

    await getGrpc(sent.grpc);
    const bytes = metadata.pop()?.get("grpc-trace-bin")[0];
    assert.ok(bytes instanceof Buffer);
    const span = bytes.toString("hex", 19, 27);
    assert.deepEqual(bytes, grpcBin(sent.grpc, span));
    seen.set("grpc", span);
  });

  test("inbound 10: a request that is not sampled, or in no trace, is treated as such", async () => {
    await get1({ traceparent: w3c(sent.unsampled, "00") });
    const parent = heads.pop()?.["traceparent"]?.toString() ?? "";
    assert.match(parent, new RegExp(`^00-${sent.unsampled}-[0-9a-f]{16}-00$`));
    assert.ok(!parent.includes(PARENT));
    await get1({});
    assert.equal(heads.pop()?.["traceparent"], undefined);
    // The proxy's own pages are no part of anybody's trace.
    await fetch(`http://127.0.0.1:${pair.server.addrs.admin.port}/live`, {
      headers: { traceparent: w3c(sent.admin) },
    });
    await get1({ traceparent: `00-${newTrace()}-${PARENT}-` });
    assert.match(heads.pop()?.["traceparent"]?.toString() ?? "", new RegExp(`${PARENT}-$`));
  });

  test("inbound 10: failures are seen where they become responses", async () => {
    assert.equal(await get1({ traceparent: w3c(sent.missing) }, "/missing"), 404);
    assert.equal(await get1({ traceparent: w3c(sent.gone) }, "/", "gone"), 502);
  });

  test("a silent collector is noticed by no request, however many spans are waiting for it", async () => {
    collector.answer = () => {};
    // Two spans each at each proxy: a batch that is under way, one that fills, and a hundred that wait.
    const count = 1_100;
    for (let done = 0; done < count; done += 50) {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          await get2({ traceparent: w3c(newTrace()) });
        }),
      );
    }
    const page = await metricsOf(pair.server);
    assert.ok(sum(page, "outrigger_spans_dropped_total", { reason: "full" }) > 0);
    assert.equal(sum(page, "opentelemetry_span_exports"), 0);
    collector.answer = undefined;
    collector.kill();
    await collector.start();
    await until("spans come again", () => collector.spans.length > 2_000);
    const now = await metricsOf(pair.server);
    assert.ok(sum(now, "opentelemetry_span_exports") > 0);
    assert.ok(sum(now, "opentelemetry_span_export_requests") > 0);
    assert.ok(sum(now, "opentelemetry_span_export_streams") > 1);
  });

  test("inbound 10: four spans a request, each the parent of the next, and all of it told by the end", async () => {
    await (closed ??= pair.close());
    const spansOf = (trace: string): readonly CollectedSpan[] =>
      collector.spans.filter((s) => s.traceId === trace);
    /** Spans in the order in which they follow from one another. */
    const chainOf = (trace: string): readonly CollectedSpan[] => {
      const chain: CollectedSpan[] = [];
      const spans = spansOf(trace);
      for (let parent: string | undefined = PARENT; parent !== undefined;) {
        const next = spans.find((s) => s.parentId === parent);
        if (next !== undefined) chain.push(next);
        parent = next?.spanId;
      }
      assert.equal(chain.length, spans.length);
      return chain;
    };
    const SERVER = 2;
    const CLIENT = 3;
    for (const name of ["http1", "http2", "grpc", "b3"] as const) {
      const chain = chainOf(sent[name]);
      assert.deepEqual(
        chain.map((s) => [s.attributes["direction"], s.kind, s.flags]),
        [
          ["outbound", SERVER, 0x300],
          ["outbound", CLIENT, 0x300],
          ["inbound", SERVER, 0x300],
          ["inbound", CLIENT, 0x300],
        ],
        name,
      );
      assert.equal(chain.at(-1)?.spanId, seen.get(name), name);
      for (const [i, span] of chain.entries()) {
        assert.ok(span.startNs <= span.endNs);
        assert.equal(span.name, name === "grpc" ? UNARY.path : "/a");
        assert.equal(span.attributes["http.response.status_code"], "200");
        // The clocks of one process agree with each other.
        const outer = i % 2 === 1 ? chain[i - 1] : undefined;
        if (outer !== undefined) assert.ok(outer.startNs <= span.startNs && span.endNs <= outer.endNs);
      }
    }
    assert.deepEqual([...spansOf(sent.unsampled), ...spansOf(sent.admin)], []);
    const [outServer, outClient, inServer] = chainOf(sent.http1);
    for (const span of [outServer, outClient, inServer]) {
      assert.equal(span?.attributes["url.query"], "b=c");
      assert.match(String(span?.attributes["url.full"]), /^http:\/\/127\.0\.0\.1:\d+\/a\?b=c$/);
    }
    assert.equal(inServer?.attributes["http.request.header.l5d-orig-proto"], "HTTP/1.1");
    const resource = { ...outServer?.resource };
    assert.equal(resource["process.pid"], BigInt(process.pid));
    assert.ok(Number(resource["process.start_timestamp"]) > 1_700_000_000);
    assert.deepEqual([resource["service.name"], resource["team"]], ["client", "a"]);
    const { "process.pid": _pid, "process.start_timestamp": _start, ...told } = inServer?.resource ?? {};
    assert.deepEqual(told, {
      "host.name": "web-0",
      "service.name": "linkerd-proxy",
      app: "web",
      "linkerd.io/workload-ns": "shop",
      "k8s.pod.ip": "192.0.2.1",
    });
    assert.ok(chainOf(sent.missing).every((s) => s.attributes["http.response.status_code"] === "404"));
    const failed = chainOf(sent.gone);
    assert.ok(failed.length >= 3, String(failed.length));
    assert.ok(failed.every((s) => s.attributes["http.response.status_code"] === "502"));
  });
});
