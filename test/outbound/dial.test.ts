import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { NO_METADATA, type Endpoint } from "../../src/policy/endpoint.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { addr, ScriptedControlPlane, scriptedContext } from "./scripted.ts";

test("invariant 9, ranked 2: an endpoint whose identity cannot be read fails, and is not even connected to", async (t) => {
  let connections = 0;
  const server = createServer(() => connections++);
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const endpoint: Endpoint = {
    addr: addr(`127.0.0.1:${address.port}`),
    metadata: { ...NO_METADATA, identity: { kind: "invalid", problem: "not an identity" } },
  };
  const { dialer } = scriptedContext(new FakeClock(), new ScriptedControlPlane());
  const at = { authority: undefined, addr: endpoint.addr, tls: dialer.tlsOf(endpoint), labels: [] };
  await assert.rejects(dialer.dial(endpoint, "http1", at), (error) => {
    assert.ok(error instanceof ProxyError);
    assert.equal(error.code, "tls_identity");
    assert.match(error.message, /not an identity/);
    return true;
  });
  assert.equal(connections, 0);
});
