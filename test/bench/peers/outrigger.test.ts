import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, get, type IncomingMessage, type RequestOptions, type Server } from "node:http";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { loopbackAddresses } from "../../../bench/load/addresses.ts";
import {
  LAST_ROUTE,
  manyEndpoints,
  manyRoutes,
  withPolicy,
  type Manifests,
} from "../../../bench/peers/manifests.ts";
import { outriggerWith, type RunningOutrigger } from "../../../bench/peers/outrigger.ts";
import type { Certs, Job } from "../../../bench/peers/peer.ts";
import { parsePage } from "../../metrics/page.ts";
import { identityOf } from "../../support/mesh-manifest.ts";
import { portOf } from "./exchange.ts";

/** Ourselves have certificates of their own. */
const NO_CERTS: Certs = { ca: "", cert: "", key: "", combined: "", name: "" };

const ENDPOINTS = 1_000;
const RULES = 1_000;

const POLICY_MS = 5_000;

describe("ourselves with other manifests, as peers of the bench", { concurrency: true }, () => {
  let application: Server;

  before(async () => {
    // Tells at which address it was reached.
    application = createServer((request, response) => response.end(request.socket.localAddress));
    await once(application.listen(0, "0.0.0.0"), "listening");
  });

  after(() => application.close());

  async function withVariant(
    topology: Job["topology"],
    manifests: Manifests | ((appPort: number) => Manifests),
    act: (running: RunningOutrigger) => Promise<void>,
  ): Promise<void> {
    const site = { appPort: portOf(application), dir: "", certs: NO_CERTS };
    const running = await outriggerWith("variant", manifests).start({ topology, protocol: "http1" }, site);
    try {
      await act(running);
    } finally {
      await running.stop();
    }
  }

  test("a policy lets in the client that it names, for the reason that it names it", () =>
    withVariant("pair", withPolicy(), async (running) => {
      await eventually("the policy's own reason", async () => {
        assert.equal((await ask(running.port)).status, 200);
        const { samples } = parsePage(await metricsOf(running, "inbound"));
        return samples.some(
          ({ name, labels }) =>
            name === "inbound_http_authz_allow_total" &&
            labels.get("route_name") === "all-of-web" &&
            labels.get("authz_kind") === "authorizationpolicy",
        );
      });
    }));

  test("a policy that names somebody else refuses each request with 403", () =>
    withVariant("pair", withPolicy([identityOf("somebody-else")]), async ({ port }) => {
      await eventually("a 403", async () => (await ask(port)).status === 403);
      for (let i = 0; i < 3; i++) assert.equal((await ask(port)).status, 403);
    }));

  test(`of ${RULES} rules the last one takes what no other matches`, () =>
    withVariant("pair", manyRoutes(RULES), async (running) => {
      for (let i = 0; i < 3; i++) assert.equal((await ask(running.port)).status, 200);
      await ask(running.port, { path: `/part-${RULES - 2}/1` });
      await ask(running.port, { headers: { "x-tenant": "tenant-1" } });
      const taken = await requestsByRoute(running);
      const others = [...taken.keys()].filter((route) => route !== LAST_ROUTE);
      assert.equal(taken.get(LAST_ROUTE), 3);
      assert.deepEqual(others.toSorted(), ["some-0", `some-${Math.floor((RULES - 2) / 16)}`]);
    }));

  test(`a hop balances over ${ENDPOINTS} endpoints`, () =>
    withVariant(
      "hop",
      (appPort) => manyEndpoints(loopbackAddresses(ENDPOINTS), appPort),
      async (running) => {
        const reached = new Set<string>();
        for (let i = 0; i < 300; i++) reached.add((await ask(running.port)).body);
        // Were one slice missing of the ten, not even one of its addresses would be among these.
        for (let i = 0; i < ENDPOINTS; i += 100) {
          const slice = loopbackAddresses(ENDPOINTS).slice(i, i + 100);
          assert.ok(
            slice.some((address) => reached.has(address)),
            `of ${reached.size} addresses none is in ${slice[0]} to ${slice.at(-1)}`,
          );
        }
      },
    ));
});

/** A proxy has its policy a moment after it is ready; until then it lets in everyone. */
async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + POLICY_MS;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `${what} within ${POLICY_MS} ms`);
    await pause(20);
  }
}

async function ask(port: number, options: RequestOptions = {}) {
  const [response] = (await once(get({ host: "127.0.0.1", port, agent: false, ...options }), "response")) as [
    IncomingMessage,
  ];
  let body = "";
  for await (const chunk of response.setEncoding("utf8")) body += String(chunk);
  return { status: response.statusCode, body };
}

async function metricsOf({ adminPorts }: RunningOutrigger, part: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${adminPorts[part]}/metrics`)).text();
}

async function requestsByRoute(running: RunningOutrigger): Promise<ReadonlyMap<string, number>> {
  const { samples } = parsePage(await metricsOf(running, "outbound"));
  return new Map(
    samples
      .filter(({ name }) => name === "outbound_http_route_request_duration_seconds_count")
      .map(({ labels, value }) => [labels.get("route_name") ?? "", value]),
  );
}
