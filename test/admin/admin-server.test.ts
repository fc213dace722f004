import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import { AdminServer, type AdminOptions } from "../../src/admin/admin-server.ts";
import {
  METHOD,
  PATH,
  RequestHead,
  type ResponseHead,
  type ResponseSink,
  type Sink,
} from "../../src/http/message.ts";
import { createLog } from "../../src/log/create-log.ts";
import { headerField, headerName } from "../../src/wire/header-field.ts";

const LOCAL = "127.0.0.1:50000";
const DISTANT = "192.0.2.9:50000";

interface Ask {
  readonly method?: string;
  readonly from?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string | Buffer;
  /** Whether the client takes what it is sent. */
  readonly credit?: boolean;
}

interface Answer {
  readonly status: number;
  readonly body: Buffer;
  readonly text: string;
  header(name: string): string[];
}

/** A client that collects an answer. */
class Client implements ResponseSink {
  response: ResponseHead | undefined;
  readonly chunks: Buffer[] = [];
  credited = 0;
  ended = false;
  failed = false;
  request: Sink | undefined;
  readonly #credit: boolean;
  readonly #done: () => void;

  constructor(credit: boolean, done: () => void) {
    this.#credit = credit;
    this.#done = done;
  }

  head(head: ResponseHead, last: boolean): void {
    assert.equal(this.response, undefined, "one head");
    this.response = head;
    if (last) this.#end();
  }
  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.chunks.push(Buffer.from(buffer.subarray(start, end)));
    if (this.#credit && end > start) queueMicrotask(() => this.request?.credit(end - start));
    if (last) this.#end();
  }
  trailers(): void {
    this.#end();
  }
  reset(): void {
    this.failed = true;
    this.#done();
  }
  credit(bytes: number): void {
    this.credited += bytes;
  }
  get received(): number {
    return this.chunks.reduce((sum, c) => sum + c.length, 0);
  }
  #end(): void {
    assert.equal(this.ended, false, "one end");
    this.ended = true;
    this.#done();
  }
}

function setup(changes: Partial<AdminOptions> = {}) {
  const lines: string[] = [];
  const calls: string[] = [];
  const logging = createLog({
    filter: "warn,linkerd=info",
    format: "plain",
    write: (line) => lines.push(line),
  });
  const server = new AdminServer({
    isReady: () => true,
    scrape: async function* () {
      yield "first 1\n";
      yield "# EOF\n";
    },
    environment: new Map([
      ["LINKERD2_PROXY_IDENTITY_TOKEN_FILE", "/t"],
      ["DB_PASSWORD", "hunter2"],
      ["__proto__", "x"],
    ]),
    logging,
    shutdownEnabled: true,
    shutdown: () => calls.push("shutdown"),
    ...changes,
  });

  function send(path: string, ask: Ask, done: () => void): Client {
    const { method = "GET", from = LOCAL, headers = [], body, credit = true } = ask;
    const peer = parseSocketAddr(from);
    assert.ok(peer.ok);
    const fields = headers.map(([name, value]) => headerField(headerName(name), value));
    const head = new RequestHead(
      11,
      headerField(METHOD, method),
      undefined,
      undefined,
      headerField(PATH, path),
      fields,
      0,
    );
    const client = new Client(credit, done);
    client.request = server.serviceFor(peer.value).call(head, body === undefined, client);
    if (body !== undefined) {
      const bytes = Buffer.from(body);
      const middle = bytes.length >> 1;
      client.request.data(bytes, 0, middle, false);
      client.request.data(bytes, middle, bytes.length, true);
    }
    return client;
  }

  async function ask(path: string, options: Ask = {}): Promise<Answer> {
    let client: Client | undefined;
    await new Promise<void>((resolve) => (client = send(path, options, resolve)));
    assert.ok(client?.response !== undefined && !client.failed);
    const { status, fields } = client.response;
    const bytes = Buffer.concat(client.chunks);
    return {
      status,
      body: bytes,
      text: bytes.toString(),
      header: (name) => fields.filter((f) => f.name.text === name).map((f) => f.value),
    };
  }
  return { ask, send, lines, calls, logging };
}

describe("the admin server", () => {
  it("says that it lives, to anyone and by any method", async () => {
    const { ask } = setup();
    for (const method of ["GET", "POST", "DELETE"]) {
      const answer = await ask("/live?x=y", { method, from: DISTANT });
      assert.deepEqual(
        [answer.status, answer.text, answer.header("content-type"), answer.header("content-length")],
        [200, "live\n", ["text/plain"], ["5"]],
      );
    }
  });

  it("says whether it is ready", async () => {
    let ready = false;
    const { ask } = setup({ isReady: () => ready });
    const no = await ask("/ready", { from: DISTANT });
    assert.deepEqual([no.status, no.text, no.header("content-type")], [503, "not ready\n", []]);
    ready = true;
    const yes = await ask("/ready", { from: DISTANT });
    assert.deepEqual([yes.status, yes.text, yes.header("content-type")], [200, "ready\n", ["text/plain"]]);
  });

  it("answers HEAD with the head alone", async () => {
    const { ask } = setup();
    const live = await ask("/live", { method: "HEAD" });
    assert.deepEqual([live.status, live.text, live.header("content-length")], [200, "", ["5"]]);
    assert.equal((await ask("/metrics", { method: "HEAD" })).text, "");
  });

  it("knows no other path, and matches exactly", async () => {
    const { ask } = setup();
    for (const path of [
      "/",
      "/live/",
      "/Live",
      "/tasks",
      "/logs.json",
      "/debug/pprof/profile.pb.gz",
      "*",
      "",
    ]) {
      const answer = await ask(path);
      assert.deepEqual([answer.status, answer.text, answer.header("content-length")], [404, "", ["0"]], path);
    }
  });

  it("serves the metrics page as plain text, and compressed to whom takes it", async () => {
    const { ask } = setup();
    const plain = await ask("/metrics", { from: DISTANT });
    assert.deepEqual(
      [plain.status, plain.text, plain.header("content-type"), plain.header("content-encoding")],
      [200, "first 1\n# EOF\n", ["text/plain"], []],
    );
    const zipped = await ask("/metrics", { from: DISTANT, headers: [["accept-encoding", "br, gzip;q=0.5"]] });
    assert.deepEqual(zipped.header("content-encoding"), ["gzip"]);
    assert.equal(gunzipSync(zipped.body).toString(), "first 1\n# EOF\n");
  });

  it("answers 500 when the page cannot be made", async () => {
    const failing = setup({
      scrape: () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error("no")) }) }),
    });
    assert.equal((await failing.ask("/metrics")).status, 500);
  });

  it("makes a page no faster than it is read, and stops when the reader goes away", async () => {
    let made = 0;
    let stopped: () => void = () => {};
    const ended = new Promise<void>((resolve) => (stopped = resolve));
    const { send } = setup({
      scrape: async function* () {
        try {
          for (;;) {
            made++;
            yield "x".repeat(10_000);
          }
        } finally {
          stopped();
        }
      },
    });
    const client = send("/metrics", { credit: false }, () => {});
    while (client.received < 64 * 1024) await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(client.received, 64 * 1024);
    assert.ok(made < 10, `${made} pieces made`);
    client.request?.credit(1_000);
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(client.received, 64 * 1024 + 1_000);
    client.request?.reset({} as never);
    await ended;
  });

  it("shows the environment to this host only, with secrets masked", async () => {
    const { ask } = setup();
    const distant = await ask("/env.json", { from: DISTANT });
    assert.deepEqual([distant.status, distant.text], [403, "Requests are only permitted from localhost."]);
    const all = await ask("/env.json");
    assert.deepEqual(all.header("content-type"), ["application/json"]);
    assert.equal(all.text, '{"LINKERD2_PROXY_IDENTITY_TOKEN_FILE":"/t","DB_PASSWORD":"***","__proto__":"x"}');
    assert.equal((await ask("/env.json?DB_PASSWORD&NONE")).text, '{"DB_PASSWORD":"***","NONE":null}');
  });

  it("keeps the environment's rules of method, query and accept", async () => {
    const { ask } = setup();
    assert.equal((await ask("/env.json", { method: "POST" })).status, 405);
    const pair = await ask("/env.json?A=b");
    assert.deepEqual(
      [pair.status, JSON.parse(pair.text)],
      [400, { error: "env.json query parameters may not contain key-value pairs", status: 400 }],
    );
    assert.equal((await ask("/env.json", { headers: [["accept", "text/html"]] })).status, 406);
    assert.equal((await ask("/env.json", { headers: [["accept", "text/html, */*;q=0.1"]] })).status, 200);
    assert.equal((await ask("/env.json", { headers: [["accept", "\u00ff"]] })).status, 400);
  });

  it("changes the log filter for this host only, and says so", async () => {
    const { ask, lines, logging } = setup();
    assert.equal(
      (await ask("/proxy-log-level", { method: "PUT", body: "trace", from: DISTANT })).status,
      403,
    );
    assert.equal((await ask("/proxy-log-level")).text, "linkerd=info,warn");
    const put = await ask("/proxy-log-level", { method: "PUT", body: "linkerd=debug\n" });
    assert.deepEqual([put.status, put.text], [204, ""]);
    assert.equal(logging.filterText(), "linkerd=debug");
    assert.match(lines.join(""), /INFO .* linkerd_app_admin: set new log level level=linkerd=debug\n$/);
    const wrong = await ask("/proxy-log-level", { method: "POST" });
    assert.deepEqual([wrong.status, wrong.header("allow")], [405, ["GET", "PUT"]]);
  });

  it("refuses a filter that is wrong, huge or not text, and keeps the old one", async () => {
    const { ask, logging } = setup();
    for (const body of ["linkerd=loud", "x".repeat(100_000), "a".repeat(20_000), Buffer.from([0xff, 0xfe])]) {
      const answer = await ask("/proxy-log-level", { method: "PUT", body });
      assert.equal(answer.status, 400);
      assert.match(answer.text, /\S/);
    }
    assert.equal(logging.filterText(), "linkerd=info,warn");
  });

  it("takes IPv4-mapped and IPv6 loopback for this host", async () => {
    const { ask } = setup();
    assert.equal((await ask("/proxy-log-level", { from: "[::ffff:127.0.0.2]:1" })).status, 200);
    assert.equal((await ask("/proxy-log-level", { from: "[::1]:1" })).status, 200);
  });

  it("has no log level to change when logging is off", async () => {
    const off = setup({ logging: createLog({ filter: undefined, format: "plain", write: () => {} }) });
    assert.equal((await off.ask("/proxy-log-level")).status, 404);
    assert.equal((await off.ask("/proxy-log-level", { from: DISTANT })).status, 403);
  });

  it("begins the drain when asked from this host, after it has answered", async () => {
    const { ask, calls } = setup();
    assert.equal((await ask("/shutdown")).status, 405);
    assert.equal((await ask("/shutdown", { method: "POST", from: DISTANT })).status, 403);
    assert.deepEqual(calls, []);
    const answer = await ask("/shutdown", { method: "POST" });
    assert.deepEqual([answer.status, answer.text], [200, "shutdown\n"]);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(calls, ["shutdown"]);
  });

  it("does not shut down where that is not enabled", async () => {
    const { ask, calls } = setup({ shutdownEnabled: false });
    const answer = await ask("/shutdown", { method: "POST" });
    assert.deepEqual([answer.status, answer.text], [404, "shutdown endpoint is not enabled\n"]);
    assert.deepEqual(calls, []);
  });

  it("gives credit for a body that it does not want", async () => {
    const { send } = setup();
    const client = send("/live", { method: "POST", body: "x".repeat(100_000) }, () => {});
    assert.equal(client.credited, 100_000);
  });
});
