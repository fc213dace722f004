import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { parseAddr } from "../../src/addr/name-addr.ts";
import { runCertifyLoop, type CertifyLoopOptions } from "../../src/control/certify.ts";
import { ControlClient, type CallResult } from "../../src/control/control-client.ts";
import { Code } from "../../src/control/stream.ts";
import { NO_LOG } from "../../src/log/log.ts";
import { parsed, unparsed } from "../../src/parsed.ts";
import { CertifyResponseSchema, type CertifyRequest } from "../../src/proto/gen/identity_pb.js";
import { systemClock } from "../../src/time/clock.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { ScriptedServer } from "./scripted-server.ts";

const IDENTITY = "web.shop.serviceaccount.identity.linkerd.cluster.local";
const HOUR_MS = 3_600_000;
const START_MS = 1_800_000_000_000;

let cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
});

type Answer = MessageInitShape<typeof CertifyResponseSchema> | { readonly refused: string } | "silence";

/** A loop over a scripted service, on a clock that moves when told to. */
function run(options: Partial<CertifyLoopOptions> = {}) {
  const clock = new FakeClock();
  const wallMs = (): number => START_MS + clock.nowMs();
  const answers: Answer[] = [];
  const requests: CertifyRequest[] = [];
  const attempts: (readonly ["ok" | "error", number | undefined])[] = [];
  let taken = Promise.withResolvers<void>();
  let clients = 0;
  let open = 0;
  const end = new AbortController();
  cleanups.push(() => end.abort());
  const done = runCertifyLoop({
    identity: IDENTITY,
    csrDer: Buffer.from("csr"),
    readToken: () => Promise.resolve(Buffer.from("token\n")),
    connect: () => {
      clients++;
      open++;
      return {
        close: () => void open--,
        // The loop makes one kind of call, whose messages these are.
        unary: async (_method, request, signal): Promise<CallResult<never>> => {
          requests.push(request as unknown as CertifyRequest);
          const answer = answers.shift() ?? assert.fail("no answer was scripted");
          if (answer === "silence") {
            await new Promise((resolve) => signal.addEventListener("abort", resolve));
            return { ok: false, status: { code: Code.CANCELLED, message: "call abandoned" } };
          }
          if ("refused" in answer) {
            return { ok: false, status: { code: Code.FAILED_PRECONDITION, message: answer.refused } };
          }
          return { ok: true, value: create(CertifyResponseSchema, answer) as never };
        },
      };
    },
    install: () => parsed(undefined),
    bounds: { minMs: 10_000, maxMs: 24 * HOUR_MS },
    clock,
    wallMs,
    log: NO_LOG,
    signal: end.signal,
    onAttempt: (result, expiryMs) => {
      attempts.push([result, expiryMs]);
      taken.resolve();
    },
    ...options,
  });
  return {
    clock,
    answers,
    requests,
    attempts,
    end,
    done,
    clients: () => clients,
    open: () => open,
    wallMs,
    /** Waits until the attempt that is under way has been judged, and the loop sleeps. */
    async attempt(): Promise<void> {
      await taken.promise;
      taken = Promise.withResolvers<void>();
      await Promise.resolve();
    },
  };
}

const issued = (validUntilMs: number): Answer => ({
  leafCertificate: Buffer.from("leaf"),
  intermediateCertificates: [Buffer.from("issuer")],
  validUntil: timestampFromMs(validUntilMs),
});

describe("the certify loop", () => {
  it("renews after 70% of the life that remains", async () => {
    const loop = run();
    loop.answers.push(issued(START_MS + 24 * HOUR_MS), issued(START_MS + 48 * HOUR_MS));
    await loop.attempt();
    loop.clock.advance(16.8 * HOUR_MS - 1);
    assert.equal(loop.requests.length, 1);
    loop.clock.advance(1);
    await loop.attempt();
    assert.deepEqual(loop.attempts, [
      ["ok", START_MS + 24 * HOUR_MS],
      ["ok", START_MS + 48 * HOUR_MS],
    ]);
  });

  it("tries every 10s before the first certificate", async () => {
    const loop = run();
    loop.answers.push({ refused: "no" }, { refused: "no" }, issued(START_MS + HOUR_MS));
    for (let i = 0; i < 2; i++) {
      await loop.attempt();
      loop.clock.advance(10_000);
    }
    await loop.attempt();
    assert.deepEqual(
      loop.attempts.map(([result]) => result),
      ["error", "error", "ok"],
    );
  });

  it("tries again after 70% of what is left when a renewal fails, the old expiry in force", async () => {
    const loop = run();
    loop.answers.push(issued(START_MS + 100_000), { refused: "no" }, { refused: "no" });
    await loop.attempt();
    loop.clock.advance(70_000);
    await loop.attempt();
    loop.clock.advance(21_000);
    await loop.attempt();
    assert.deepEqual(loop.attempts.at(-1), ["error", START_MS + 100_000]);
  });

  it("sends identity, request and token byte for byte, and reads the token for each attempt", async () => {
    let reads = 0;
    const loop = run({ readToken: () => Promise.resolve(Buffer.from(`token ${++reads}\n`)) });
    loop.answers.push({ refused: "no" }, { refused: "no" });
    await loop.attempt();
    loop.clock.advance(10_000);
    await loop.attempt();
    const [first, second] = loop.requests;
    assert.equal(first?.identity, IDENTITY);
    assert.equal(Buffer.from(first.certificateSigningRequest).toString(), "csr");
    assert.equal(Buffer.from(first.token).toString(), "token 1\n");
    assert.equal(Buffer.from(second?.token ?? []).toString(), "token 2\n");
  });

  it("uses a client of its own for each attempt and closes it", async () => {
    const loop = run();
    loop.answers.push({ refused: "no" }, { refused: "no" });
    await loop.attempt();
    loop.clock.advance(10_000);
    await loop.attempt();
    assert.deepEqual([loop.clients(), loop.open()], [2, 0]);
  });

  const bad: readonly (readonly [string, Answer])[] = [
    ["without an expiry", { leafCertificate: Buffer.from("leaf") }],
    ["that has expired", issued(START_MS)],
  ];
  for (const [name, answer] of bad) {
    it(`does not install a certificate ${name}`, async () => {
      const loop = run({ install: () => assert.fail("was installed") });
      loop.answers.push(answer);
      await loop.attempt();
      assert.deepEqual(loop.attempts, [["error", undefined]]);
    });
  }

  it("keeps what is in force when the new certificate is refused", async () => {
    const loop = run({ install: () => unparsed("does not verify") });
    loop.answers.push(issued(START_MS + HOUR_MS));
    await loop.attempt();
    assert.deepEqual(loop.attempts, [["error", undefined]]);
  });

  it("hands the chain to its installer as it came", async () => {
    const seen: unknown[] = [];
    const loop = run({
      install: (certificate) => {
        seen.push(certificate);
        return parsed(undefined);
      },
    });
    loop.answers.push(issued(START_MS + HOUR_MS));
    await loop.attempt();
    assert.deepEqual(seen, [
      {
        leafDer: Buffer.from("leaf"),
        intermediatesDer: [Buffer.from("issuer")],
        validUntilMs: START_MS + HOUR_MS,
      },
    ]);
  });

  it("does not wait for ever on a service that never answers", async () => {
    const loop = run();
    loop.answers.push("silence");
    // The call is made once the token has been read.
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(loop.requests.length, 1);
    loop.clock.advance(10_000);
    await loop.attempt();
    assert.deepEqual(loop.attempts, [["error", undefined]]);
    assert.equal(loop.open(), 0);
  });

  it("counts an unreadable token as a failed attempt", async () => {
    const loop = run({ readToken: () => Promise.reject(new Error("ENOENT: token")) });
    await loop.attempt();
    assert.deepEqual(loop.attempts, [["error", undefined]]);
    assert.equal(loop.clients(), 0);
  });

  it("ends when it is told to, leaving no timer", async () => {
    const loop = run();
    loop.answers.push({ refused: "no" });
    await loop.attempt();
    loop.end.abort();
    await loop.done;
    assert.equal(loop.clock.timers, 0);
  });

  it("works over a real connection", async () => {
    const server = await new ScriptedServer().start();
    cleanups.push(() => server.kill());
    server.certify = () =>
      create(CertifyResponseSchema, {
        leafCertificate: Buffer.from("leaf"),
        validUntil: timestampFromMs(START_MS + HOUR_MS),
      });
    const address = parseAddr(`127.0.0.1:${server.port}`);
    assert.ok(address.ok);
    const loop = run({
      connect: () =>
        new ControlClient({
          service: "identity",
          address: address.value,
          tls: undefined,
          connectTimeoutMs: 1000,
          backoff: { minMs: 5, maxMs: 20, jitter: 0 },
          clock: systemClock,
          log: NO_LOG,
        }),
    });
    await loop.attempt();
    assert.deepEqual(loop.attempts, [["ok", START_MS + HOUR_MS]]);
  });
});
