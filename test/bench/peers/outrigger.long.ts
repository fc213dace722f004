import assert from "node:assert/strict";
import { once } from "node:events";
import {
  createServer,
  get,
  type IncomingMessage,
  type RequestListener,
  type RequestOptions,
  type Server,
} from "node:http";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { loopbackAddresses } from "../../../bench/load/addresses.ts";
import {
  BREAKER,
  LAST_ROUTE,
  manyEndpoints,
  manyRoutes,
  routesWithPolicy,
  withPolicy,
  type Manifests,
} from "../../../bench/peers/manifests.ts";
import {
  outriggerWith,
  type OutriggerOptions,
  type RunningOutrigger,
} from "../../../bench/peers/outrigger.ts";
import type { Certs, Job } from "../../../bench/peers/peer.ts";
import { parsePage } from "../../metrics/page.ts";
import { identityOf } from "../../support/mesh-manifest.ts";
import { portOf } from "./exchange.ts";

/** Ourselves have certificates of their own. */
const NO_CERTS: Certs = { ca: "", cert: "", key: "", combined: "", name: "" };

const ENDPOINTS = 1_000;
const RULES = 1_000;

const POLICY_MS = 5_000;

/** Of the breaker that annotations without further words ask for. */
const MAX_FAILURES = 7;
const REQUEST_TIMEOUT_MS = 500;

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
    { options = {}, app = application }: { readonly options?: OutriggerOptions; readonly app?: Server } = {},
  ): Promise<void> {
    const site = { appPort: portOf(app), dir: "", certs: NO_CERTS };
    const variant = outriggerWith("variant", manifests, options);
    const running = await variant.start({ topology, protocol: "http1" }, site);
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

  describe("of 20 routes with policy the last one", () => {
    let answer: RequestListener;
    let asked = 0;
    let failing: Server;

    before(async () => {
      failing = createServer((request, response) => {
        asked++;
        answer(request, response);
      });
      await once(failing.listen(0, "127.0.0.1"), "listening");
    });

    after(() => {
      failing.closeAllConnections();
      failing.close();
    });

    test("retries, bounds the time of a request, and breaks the circuit", () =>
      withVariant(
        "pair",
        routesWithPolicy(20, `${REQUEST_TIMEOUT_MS}ms`),
        async (running) => {
          answer = (_, response) => response.writeHead(asked === 2 ? 200 : 503).end();
          assert.deepEqual([(await ask(running.port)).status, asked], [200, 2]);

          answer = () => {};
          const startedAtMs = performance.now();
          assert.equal((await ask(running.port)).status, 504);
          assert.ok(performance.now() - startedAtMs < 2 * REQUEST_TIMEOUT_MS);

          // The request that had no answer is the first of these failures in a row.
          asked = 1;
          answer = (_, response) => response.writeHead(503).end();
          for (let i = 0; i < 2; i++) await ask(running.port);
          assert.equal(asked, MAX_FAILURES);
          assert.notEqual((await ask(running.port)).status, 200);
          assert.equal(asked, MAX_FAILURES, "no request while the circuit is broken");

          const taken = await requestsByRoute(running);
          assert.deepEqual([...taken.keys()], [LAST_ROUTE]);
        },
        {
          app: failing,
          // What waits for an endpoint while the circuit is broken is not kept for seconds.
          options: {
            annotations: BREAKER,
            environment: { LINKERD2_PROXY_OUTBOUND_HTTP_FAILFAST_TIMEOUT: "50ms" },
          },
        },
      ));
  });

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
