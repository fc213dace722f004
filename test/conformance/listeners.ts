import { parseDnsName } from "../../src/addr/dns-name.ts";
import { parseId } from "../../src/identity/id.ts";
import { systemClock } from "../../src/time/clock.ts";
import { HandshakePacer } from "../../src/tls/handshake-pacer.ts";
import { Originator, type TlsTarget } from "../../src/tls/originate.ts";
import { fixed } from "../../src/transport/orig-dst/fixed.ts";
import { localAddress } from "../../src/transport/orig-dst/local-address.ts";
import { encodeTransportHeader, TRANSPORT_HEADER_ALPN } from "../../src/wire/transport-header.ts";
import { TestCa } from "../support/certs.ts";
import { identityOf } from "../support/mesh-manifest.ts";
import { Mesh } from "../support/mesh.ts";
import { freePort } from "../support/process-mesh.ts";
import { startApplication } from "./application.ts";
import { certified, socketAddr, startInbound, unwrap } from "./inbound-listener.ts";
import { startBridge } from "./mesh-tls-bridge.ts";

/** A port that speaks clear-text HTTP/2 and leads to a listener of ours. */
export interface ListenerUnderTest {
  readonly name: string;
  readonly port: number;
}

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Both proxies in every way that HTTP/2 comes to them, an application of Node's own behind each.
 *
 * The outbound proxy is the real one with a mesh around it: requests cross the whole pair. The inbound proxy is asked
 * directly: in clear text, over mutual TLS as an intercepted connection, and over mutual TLS as peers call it, by
 * transport header.
 */
export async function startListeners(): Promise<{
  readonly listeners: readonly ListenerUnderTest[];
  close(): Promise<void>;
}> {
  const closing: (() => void | Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closing.reverse()) await end();
  };
  try {
    const application = await startApplication();
    closing.push(() => application.close());
    const listeners = [
      await outbound(application.port, closing),
      ...(await inbound(application.port, closing)),
    ];
    return { listeners, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function outbound(
  applicationPort: number,
  closing: (() => void | Promise<void>)[],
): Promise<ListenerUnderTest> {
  const mesh = await Mesh.start({
    workloads: [
      { name: "client", ports: {}, proxyPort: await freePort() },
      { name: "web", ports: { http2: applicationPort }, proxyPort: await freePort() },
    ],
  });
  closing.push(() => mesh.close());
  const port = await freePort();
  await mesh.proxy("web", SHORT_GRACE);
  await mesh.proxy("client", {
    ...SHORT_GRACE,
    OUTRIGGER_FORWARD: `127.0.0.1:${port}=web.shop.svc.cluster.local:${applicationPort}`,
  });
  return { name: "outbound, clear text, through the pair", port };
}

const SHORT_GRACE = { LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD: "1s" };

async function inbound(
  applicationPort: number,
  closing: (() => void | Promise<void>)[],
): Promise<ListenerUnderTest[]> {
  const ca = TestCa.create();
  const name = identityOf("web");
  const intercepted = await startInbound(fixed(socketAddr(`127.0.0.1:${applicationPort}`)), ca, name);
  closing.push(() => intercepted.close());
  const direct = await startInbound(localAddress, ca, name);
  closing.push(() => direct.close());

  const originator = new Originator({
    credentials: certified(ca, identityOf("client")).credentials,
    pacer: new HandshakePacer(),
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    keepAliveMs: undefined,
    userTimeoutMs: undefined,
    clock: systemClock,
  });
  const peer = { serverId: unwrap(parseId(name)), serverName: unwrap(parseDnsName(name)) };
  const dial = async (target: TlsTarget) => (await originator.originate(target)).transport;
  const overTls = await startBridge(() => dial({ ...peer, addr: intercepted.addr, alpn: undefined }));
  closing.push(() => overTls.close());
  const header = encodeTransportHeader({
    port: applicationPort,
    name: undefined,
    sessionProtocol: "http2",
  });
  const byHeader = await startBridge(
    () => dial({ ...peer, addr: direct.addr, alpn: TRANSPORT_HEADER_ALPN }),
    header,
  );
  closing.push(() => byHeader.close());
  return [
    { name: "inbound, clear text", port: intercepted.addr.port },
    { name: "inbound, mutual TLS, intercepted", port: overTls.port },
    { name: "inbound, mutual TLS, by transport header", port: byHeader.port },
  ];
}
