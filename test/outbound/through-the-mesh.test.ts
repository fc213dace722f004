/** The ways of this folder once more between real sidecars, with policies that the embedded control plane serves. */
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { listening, metricsOf, Pair, portOf, sum, until } from "../socket/pair.ts";
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
