import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "../support/process-mesh.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

describe("a proxy with wrong variables", { timeout: 20_000 }, () => {
  it("lists everything that is wrong in one message, exits with 64, and never listens", async () => {
    const [inbound, outbound, admin, forward] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    const child = spawn(process.execPath, ["--no-warnings", MAIN, "proxy"], {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        // Good ones, on ports that can be watched.
        LINKERD2_PROXY_INBOUND_LISTEN_ADDR: `127.0.0.1:${inbound}`,
        LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR: `127.0.0.1:${outbound}`,
        LINKERD2_PROXY_ADMIN_LISTEN_ADDR: `127.0.0.1:${admin}`,
        OUTRIGGER_FORWARD: `127.0.0.1:${forward}=web.shop.svc.cluster.local:80`,
        LINKERD2_PROXY_IDENTITY_SVC_ADDR: "127.0.0.1:8086",
        // Wrong ones; LINKERD2_PROXY_POLICY_SVC_ADDR and _WORKLOAD are not set at all.
        LINKERD2_PROXY_DESTINATION_SVC_ADDR: "destination",
        LINKERD2_PROXY_IDENTITY_DIR: "/does/not/exist",
        LINKERD2_PROXY_IDENTITY_TOKEN_FILE: "/does/not/exist/token",
        LINKERD2_PROXY_IDENTITY_LOCAL_NAME: "not a name",
        LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS: "",
        LINKERD2_PROXY_INBOUND_PORTS: "80,99999",
        LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD: "10",
        LINKERD2_PROXY_OUTBOUND_CONNECT_TIMEOUT: "1 second",
      },
    });
    const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
    const [out, err] = [text(child.stdout), text(child.stderr)];
    let listened = 0;
    let looks = 0;
    while (child.exitCode === null) {
      for (const port of [inbound, outbound, admin, forward]) if (await listens(port)) listened++;
      looks++;
      await pause(5);
    }
    assert.equal(await exited, 64);
    assert.ok(looks > 1, "the process was never looked at while it ran");
    assert.equal(listened, 0);

    const [title, ...problems] = (await err).trimEnd().split("\n");
    assert.equal(title, "Invalid configuration:");
    const wrong = [
      "LINKERD2_PROXY_DESTINATION_SVC_ADDR",
      "LINKERD2_PROXY_POLICY_SVC_ADDR",
      "LINKERD2_PROXY_POLICY_WORKLOAD",
      "LINKERD2_PROXY_IDENTITY_DIR",
      "LINKERD2_PROXY_IDENTITY_TOKEN_FILE",
      "LINKERD2_PROXY_IDENTITY_LOCAL_NAME",
      "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS",
      "LINKERD2_PROXY_INBOUND_PORTS",
      "LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD",
      "LINKERD2_PROXY_OUTBOUND_CONNECT_TIMEOUT",
    ];
    for (const name of wrong) {
      const about = problems.filter((line) => line.includes(name));
      assert.equal(about.length, 1, `${name}: ${about.join("; ")}\n${problems.join("\n")}`);
    }
    assert.equal(problems.length, wrong.length, problems.join("\n"));
    assert.doesNotMatch(await out, /interface on/);
  });
});

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
