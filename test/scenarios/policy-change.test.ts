import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import {
  GrpcEcho,
  TcpEcho,
  grpcCall,
  grpcChannel,
  http1Get,
  http2Connect,
  http2Get,
  oneConnection,
  tcpCall,
} from "../support/app/clients.ts";
import { eventually } from "../support/app/eventually.ts";
import { Pair } from "../support/app/pair.ts";
import { policyManifest } from "../support/app/policy-manifest.ts";

/** From the change of a file to its effect. */
const EFFECTIVE_WITHIN_MS = 1000;

describe("a policy that changes under way", { timeout: 30_000 }, () => {
  let pair: Pair;
  before(async () => {
    pair = await Pair.start({ manifests: { "policy.yaml": policyManifest(["client"]) } });
  });
  after(() => pair.close());

  it("refuses a client that is no longer allowed within a second, and heals as fast", async (t) => {
    const { ports } = pair.client;
    const agent = oneConnection();
    const session = await http2Connect(ports.http2);
    const channel = grpcChannel(ports.grpc);
    const stream = new GrpcEcho(channel);
    const tunnel = await TcpEcho.connect(ports.tcp);
    t.after(() => {
      agent.destroy();
      session.destroy();
      channel.close();
      tunnel.socket.destroy();
    });
    const first = await http1Get(ports.http1, "/", agent);
    assert.deepEqual([first.status, first.headers["l5d-proxy-error"]], [200, undefined]);
    assert.equal((await http2Get(session)).status, 200);
    await stream.echo("before");
    await tunnel.echo("before");

    const changedAtMs = performance.now();
    await pair.mesh.writeManifest("policy.yaml", policyManifest(["nobody"]));
    const cutAfterMs = tunnel.closed.then(() => performance.now() - changedAtMs);
    const refused = await eventually(EFFECTIVE_WITHIN_MS, async () => {
      const { status } = await http1Get(ports.http1, "/", agent);
      return { yes: status === 403, found: status };
    });
    // The file is one change: from the first refusal on everything is refused.
    const call = await grpcCall(ports.grpc);
    assert.equal(call.code, 7, call.details);
    assert.equal((await http2Get(session)).status, 403);
    assert.match((await tcpCall(ports.tcp)) ?? "it was served", /^the connection was closed/);
    const cut = await Promise.race([cutAfterMs, pause(EFFECTIVE_WITHIN_MS, Infinity, { ref: false })]);
    assert.ok(cut <= EFFECTIVE_WITHIN_MS, "the tunnel under way was not cut within a second");

    const sameConnection = await http1Get(ports.http1, "/", agent);
    assert.deepEqual([sameConnection.status, sameConnection.localPort], [403, first.localPort]);
    assert.equal(session.closed || session.destroyed, false);
    // A request is judged once, when it begins.
    await stream.echo("after");

    await pair.mesh.writeManifest("policy.yaml", policyManifest(["nobody", "client"]));
    const healed = await eventually(EFFECTIVE_WITHIN_MS, async () => {
      const { status } = await http1Get(ports.http1, "/", agent);
      return { yes: status === 200, found: status };
    });
    assert.equal((await http1Get(ports.http1, "/", agent)).localPort, first.localPort);
    assert.equal((await http2Get(session)).status, 200);
    assert.equal((await grpcCall(ports.grpc)).code, 0);
    assert.equal(await tcpCall(ports.tcp), undefined);
    t.diagnostic(
      `refused after ${refused.toFixed(0)} ms, tunnel cut after ${cut.toFixed(0)} ms, healed after ${healed.toFixed(0)} ms`,
    );
  });
});
