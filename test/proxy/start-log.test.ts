import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSocketAddr, parseSocketAddr } from "../../src/addr/socket-addr.ts";
import { load } from "../../src/config/load.ts";
import { createLog } from "../../src/log/create-log.ts";
import { logStart } from "../../src/proxy/start-log.ts";
import type { Listener } from "../../src/transport/listen.ts";
import { proxyEnvironment } from "../support/mesh-manifest.ts";

function listener(text: string): Listener {
  const addr = parseSocketAddr(text);
  assert.ok(addr.ok);
  assert.equal(formatSocketAddr(addr.value), text);
  return { addrs: [addr.value], accept: () => {}, close: () => {} };
}

/** The lines that a proxy with such a tap port begins with. */
function linesWith(tap: Listener | undefined): string {
  const mesh = {
    control: "127.0.0.1:8086",
    trustAnchorsPem: "anchors",
    tokenFile: "/token",
    identityDir: "/id",
  };
  const environment = proxyEnvironment({ name: "web", ports: {}, proxyPort: 4143 }, mesh);
  const loaded = load((name) => environment[name], { isDirectory: () => true, size: () => 10 });
  assert.ok(loaded.ok, loaded.ok ? "" : loaded.problems.join("\n"));
  const lines: string[] = [];
  const logging = createLog({ filter: "info", format: "plain", write: (line) => void lines.push(line) });
  const [inbound, outbound, admin] = ["127.0.0.1:4143", "127.0.0.1:4140", "127.0.0.1:4191"].map(listener);
  assert.ok(inbound !== undefined && outbound !== undefined && admin !== undefined);
  logStart(loaded.config, { inbound, outbound, admin, tap }, logging);
  return lines.join("");
}

test("config-admin-metrics 5.1: the start tells where requests can be watched, or that they cannot", () => {
  assert.match(linesWith(listener("0.0.0.0:4190")), /: Tap interface on 0\.0\.0\.0:4190\n/);
  assert.match(linesWith(undefined), /: Tap DISABLED\n/);
  assert.doesNotMatch(linesWith(undefined), /Tap interface/);
});
