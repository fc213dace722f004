import { setTimeout as pause } from "node:timers/promises";
import { status as grpcStatus } from "@grpc/grpc-js";
import {
  GrpcEcho,
  grpcChannel,
  http1Get,
  http2Connect,
  http2Get,
  oneConnection,
  tcpCall,
} from "../../test/support/app/clients.ts";
import { metricSum } from "../../test/support/app/metrics.ts";
import { Pair } from "../../test/support/app/pair.ts";

export interface RotationOptions {
  /** Life of the certificates, in whole seconds. */
  readonly lifetimeSeconds: number;
  /** How long the load lasts. */
  readonly seconds: number;
  /** Of each kind of request. */
  readonly perSecond: number;
}

export interface RotationResult {
  /** Requests of each kind. */
  readonly requests: Readonly<Record<string, number>>;
  /** What failed, and how. */
  readonly failures: readonly string[];
  /** Certificates that each proxy got in addition to its first one. */
  readonly renewals: { readonly outbound: number; readonly inbound: number };
  /** TLS handshakes of the outbound proxy during the load. */
  readonly handshakes: number;
  /** How long before the end the first certificates ran out. */
  readonly firstExpiredSecondsBeforeEnd: number;
}

/**
 * Keeps requests of every protocol going while certificates run out and are renewed. Connections made at the start live
 * through all of it; TCP connections are made anew all the time, each with a handshake under the newest certificates.
 */
export async function rotation({ lifetimeSeconds, ...load }: RotationOptions): Promise<RotationResult> {
  const pair = await Pair.start({
    controlPlaneArgs: ["--identity-lifetime", `${lifetimeSeconds}s`],
    environment: { LINKERD2_PROXY_IDENTITY_MIN_REFRESH: "100ms" },
  });
  try {
    return await loadWhileRotating(pair, load);
  } finally {
    await pair.close();
  }
}

/** The load, and what came of it, between proxies whose certificates somebody renews. */
export async function loadWhileRotating(
  pair: Pair,
  { seconds, perSecond }: Omit<RotationOptions, "lifetimeSeconds">,
): Promise<RotationResult> {
  const { ports, sidecar } = pair.client;
  const admin = { outbound: sidecar.adminPort, inbound: pair.server.adminPort };
  const renewalsOf = (port: number): Promise<number> =>
    metricSum(port, "control_identity_cert_refreshes_total", 'result="ok"');
  const expiryOf = (port: number): Promise<number> =>
    metricSum(port, "control_identity_cert_expiration_timestamp_seconds");
  const handshakes = (): Promise<number> =>
    metricSum(sidecar.adminPort, "outrigger_tls_handshakes_total", 'direction="outbound"');
  const agent = oneConnection();
  const session = await http2Connect(ports.http2);
  const channel = grpcChannel(ports.grpc);
  const stream = new GrpcEcho(channel);

  const before = {
    outbound: await renewalsOf(admin.outbound),
    inbound: await renewalsOf(admin.inbound),
    handshakes: await handshakes(),
  };
  const firstExpiry = Math.max(await expiryOf(admin.outbound), await expiryOf(admin.inbound));
  const failures: string[] = [];
  const requests: Record<string, number> = {};
  const end = performance.now() + seconds * 1000;
  const repeat = async (kind: string, once: (n: number) => Promise<string | undefined>): Promise<void> => {
    for (let n = 1; performance.now() < end; n++) {
      const problem = await once(n).catch((error: unknown) => String(error));
      if (problem !== undefined) failures.push(`${kind} request ${n}: ${problem}`);
      requests[kind] = n;
      await pause(1000 / perSecond);
    }
  };
  await Promise.all([
    repeat("HTTP/1, kept alive", async () => wrong(await http1Get(ports.http1, "/", agent))),
    repeat("HTTP/1, new connection", async () => wrong(await http1Get(ports.http1))),
    repeat("HTTP/2, one connection", async () => wrong(await http2Get(session))),
    repeat("gRPC, one stream", async (n) => {
      await stream.echo(`message ${n}`);
      return undefined;
    }),
    repeat("TCP, new connection", (n) => tcpCall(ports.tcp, `message ${n}`)),
  ]);
  const ended = await stream.end();
  if (ended.code !== grpcStatus.OK) failures.push(`gRPC stream: ${ended.code} ${ended.details}`);
  const result = {
    requests,
    failures,
    renewals: {
      outbound: (await renewalsOf(admin.outbound)) - before.outbound,
      inbound: (await renewalsOf(admin.inbound)) - before.inbound,
    },
    handshakes: (await handshakes()) - before.handshakes,
    firstExpiredSecondsBeforeEnd: Date.now() / 1000 - firstExpiry,
  };
  agent.destroy();
  session.destroy();
  channel.close();
  return result;
}

function wrong({ status, body }: { readonly status: number; readonly body: string }): string | undefined {
  return status === 200 && body === "hello" ? undefined : `status ${status}: ${body}`;
}
