import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { connect as connectTls } from "node:tls";
import { parseIp } from "../../src/addr/ip.ts";
import { Authority } from "../../src/control-plane/ca/authority.ts";
import { FrontListener, type FrontOptions } from "../../src/control-plane/serve/front-listener.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import { ServerCertificates } from "../../src/control-plane/serve/server-certificates.ts";
import { NO_LOG } from "../../src/log/log.ts";
import { systemClock, wallMs } from "../../src/time/clock.ts";
import { FakeClock } from "../support/fake-clock.ts";

const NAME = "control.example";

interface Front {
  readonly port: number;
  readonly anchors: string;
  /** The next connection that came through. */
  readonly connection: Promise<Socket>;
}

async function listen(t: TestContext, options: Partial<FrontOptions> = {}): Promise<Front> {
  const ip = parseIp("127.0.0.1");
  assert.ok(ip.ok);
  const authority = Authority.create("cluster.local", wallMs());
  const arrived = Promise.withResolvers<Socket>();
  const listener = await FrontListener.listen(
    { ip: ip.value, port: 0 },
    {
      certificates: new ServerCertificates(new WatchCell(authority), [NAME]),
      onConnection: arrived.resolve,
      clock: systemClock,
      log: NO_LOG,
      ...options,
    },
  );
  t.after(() => listener.close());
  return { port: listener.addr.port, anchors: authority.trustAnchorsPem, connection: arrived.promise };
}

test("hands on clear text with all of its bytes", async (t) => {
  const { port, connection } = await listen(t);
  const client = connect({ host: "127.0.0.1", port });
  client.write("PRI * HTTP/2.0");
  const [bytes] = await once(await connection, "data");
  assert.equal(String(bytes), "PRI * HTTP/2.0");
  client.destroy();
});

test("refuses clear text where it is not admitted", async (t) => {
  const { port } = await listen(t, { admitsClearText: () => false });
  const client = connect({ host: "127.0.0.1", port });
  client.on("error", () => {});
  client.write("PRI * HTTP/2.0");
  await once(client, "close");
});

test("takes TLS off where clear text is not admitted", async (t) => {
  const { port, anchors, connection } = await listen(t, { admitsClearText: () => false });
  const client = connectTls({ host: "127.0.0.1", port, servername: NAME, ca: anchors });
  client.write("over TLS");
  const [bytes] = await once(await connection, "data");
  assert.equal(String(bytes), "over TLS");
  client.destroy();
});

test("shows its own name to a client that asks for another, which then refuses it", async (t) => {
  const { port, anchors } = await listen(t);
  const client = connectTls({ host: "127.0.0.1", port, servername: "other.example", ca: anchors });
  const [error] = await once(client, "error");
  assert.equal(error.code, "ERR_TLS_CERT_ALTNAME_INVALID");
});

test("refuses TLS below version 1.3", async (t) => {
  const { port, anchors } = await listen(t);
  const client = connectTls({
    host: "127.0.0.1",
    port,
    servername: NAME,
    ca: anchors,
    maxVersion: "TLSv1.2",
  });
  await assert.rejects(once(client, "secureConnect"));
});

test("closes a connection that stays silent for 10 s", async (t) => {
  const clock = new FakeClock();
  const armed = Promise.withResolvers<void>();
  const { port } = await listen(t, {
    clock: {
      nowMs: () => clock.nowMs(),
      after: (delayMs, f) => {
        const timer = clock.after(delayMs, f);
        armed.resolve();
        return timer;
      },
    },
  });
  const client = connect({ host: "127.0.0.1", port });
  await armed.promise;
  clock.advance(10_000);
  await once(client, "close");
});
