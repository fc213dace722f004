/** The ways of this folder once more between real sidecars, with policies that the embedded control plane serves. */
import assert from "node:assert/strict";
import { once } from "node:events";
import * as http2 from "node:http2";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { httpApp, listening, metricsOf, Pair, portOf, sum, until } from "../socket/pair.ts";
import { Conversation } from "./listening.ts";

test("outbound 16.1: a meshed server that speaks first waits for its own side's detection only, not for ours after it", async (t) => {
  const server = createServer((socket) => new Conversation(socket).send("220 hello\r\n"));
  await listening(server);
  t.after(() => server.close());
  const pair = await Pair.start({
    ports: { banner: portOf(server) },
    client: { LINKERD2_PROXY_OUTBOUND_DETECT_TIMEOUT: "30s" },
    server: { LINKERD2_PROXY_INBOUND_DETECT_TIMEOUT: "100ms" },
  });
  t.after(() => pair.mesh.close());
  const client = new Conversation(connect(pair.forward("banner"), "127.0.0.1"));
  t.after(() => client.socket.destroy());
  await until("the greeting arrives", () => client.text === "220 hello\r\n");
  const page = await metricsOf(pair.client);
  assert.equal(sum(page, "outrigger_outbound_dial_ahead_total", { outcome: "server_first" }), 1);
  assert.equal(sum(page, "outbound_tcp_route_open_total"), 1);
  assert.equal(sum(page, "tcp_open_total", { direction: "outbound", peer: "dst", tls: "true" }), 1);
  client.socket.end();
  await until("its end is counted", async () => {
    return sum(await metricsOf(pair.client), "outbound_tcp_route_close_total", { error: "" }) === 1;
  });
});

test("config-admin-metrics 7.4: a page shows the balancer, the backend of the route and the bytes by zone", async (t) => {
  const app = await httpApp((request, response) =>
    response.writeHead(request.url === "/no" ? 404 : 200).end("ok"),
  );
  t.after(() => app.close());
  const pair = await Pair.start({ ports: { http: portOf(app) } });
  t.after(() => pair.mesh.close());
  const url = `http://127.0.0.1:${pair.forward("http")}`;
  for (const path of ["/", "/", "/no"]) await (await fetch(`${url}${path}`)).text();
  const backend = { backend_kind: "Service", parent_kind: "Service" };
  await until("the last response is counted", async () => {
    return (
      sum(await metricsOf(pair.client), "outbound_http_route_backend_response_statuses_total", backend) === 3
    );
  });
  const page = await metricsOf(pair.client);
  const of = (name: string, labels = {}): number => sum(page, name, { ...backend, ...labels });
  assert.equal(
    of("outbound_http_route_backend_response_statuses_total", { http_status: "200", error: "" }),
    2,
  );
  assert.equal(of("outbound_http_route_backend_requests_total"), 3);
  assert.equal(of("outbound_http_route_backend_response_duration_seconds_count"), 3);
  assert.equal(of("outbound_http_balancer_endpoints", { endpoint_state: "ready" }), 1);
  assert.equal(of("outbound_http_balancer_p2c_endpoints"), 1);
  assert.ok(of("outbound_http_balancer_p2c_updates_total") >= 1);
  assert.equal(of("outbound_http_balancer_queue_requests_total"), 3);
  assert.equal(of("outbound_http_balancer_queue_latency_seconds_count"), 3);
  assert.equal(of("outbound_http_balancer_queue_gate_open_total"), 1);
  const bytes = (op: string): number => sum(page, "outbound_tcp_transfer_cost_bytes_total", { op });
  assert.ok(bytes("Send") > 100 && bytes("Recv") > 100);
  assert.equal(bytes("Send"), sum(page, "tcp_write_bytes_total", { direction: "outbound", peer: "dst" }));
});

test("HC-01 HC-03 what a real server refuses, or leaves behind with GOAWAY, is answered without a retry policy", async (t) => {
  const { NGHTTP2_REFUSED_STREAM } = http2.constants;
  const asked: string[] = [];
  const sessions = new Set<http2.ServerHttp2Session>();
  const app = http2.createServer();
  app.on("session", (session) => sessions.add(session));
  app.on("stream", (stream: http2.ServerHttp2Stream, headers) => {
    // Those that are reset end with the error that they are reset for.
    stream.on("error", () => {});
    const path = String(headers[":path"]);
    asked.push(path);
    const isFirst = asked.filter((other) => other === path).length === 1;
    // The session goes on after its GOAWAY, and would finish what it has looked at.
    if (isFirst && path === "/goaway") stream.session?.goaway(0, (stream.id ?? 0) - 2);
    if (isFirst && path === "/refused") stream.close(NGHTTP2_REFUSED_STREAM);
    if (isFirst && path !== "/") return;
    let body = "";
    stream.setEncoding("utf8").on("data", (text) => (body += text));
    stream.on("end", () => {
      stream.respond({ ":status": 200 });
      stream.end(`${path} ${body}`);
    });
  });
  app.listen(0, "127.0.0.1");
  await once(app, "listening");
  const pair = await Pair.start({ ports: { h2: portOf(app) } });
  const client = http2.connect(pair.url("h2"));
  t.after(async () => {
    client.destroy();
    await pair.mesh.close();
    for (const session of sessions) session.destroy();
    app.close();
  });
  const post = async (path: string): Promise<string> => {
    const stream = client.request({ ":method": "POST", ":path": path });
    stream.end(`body of ${path}`);
    let text = "";
    for await (const piece of stream.setEncoding("utf8")) text += piece;
    return text;
  };
  for (const path of ["/", "/refused", "/goaway"]) assert.equal(await post(path), `${path} body of ${path}`);
  assert.deepEqual(asked, ["/", "/refused", "/refused", "/goaway", "/goaway"]);
  assert.equal(sessions.size, 2);
});
