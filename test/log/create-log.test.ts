import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLog, type Logging } from "../../src/log/create-log.ts";

const CONTEXT = { uptimeMs: () => 45.678, wallMs: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6), threadId: 2 };

function logging(
  format: "plain" | "json",
  filter: string | undefined = "info",
): { lines: string[]; logging: Logging } {
  const lines: string[] = [];
  return {
    lines,
    logging: createLog({ filter, format, write: (line) => lines.push(line), context: CONTEXT }),
  };
}

describe("the log", () => {
  it("writes plain lines as the model does", () => {
    const { lines, logging: l } = logging("plain");
    l.log
      .span("daemon")
      .span("identity")
      .info("Certified identity", { id: "web.shop", n: 1, none: undefined });
    l.log.warn("bare");
    assert.deepEqual(lines, [
      "[     0.045678s]  INFO ThreadId(02) daemon:identity: linkerd_app: Certified identity id=web.shop n=1\n",
      "[     0.045678s]  WARN ThreadId(02) linkerd_app: bare\n",
    ]);
  });

  it("writes JSON members in the mesh's order", () => {
    const { lines, logging: l } = logging("json");
    l.log.target("linkerd_proxy").span("server", { port: 80 }).error("no", { ok: false, took: 1.5 });
    l.log.info("bare");
    assert.deepEqual(lines, [
      '{"timestamp":"2026-01-02T03:04:05.006000Z","level":"ERROR","fields":{"message":"no","ok":false,"took":1.5},"target":"linkerd_proxy","spans":[{"port":80,"name":"server"}],"threadId":"ThreadId(2)"}\n',
      '{"timestamp":"2026-01-02T03:04:05.006000Z","level":"INFO","fields":{"message":"bare"},"target":"linkerd_app","threadId":"ThreadId(2)"}\n',
    ]);
  });

  it("keeps one event on one line whatever strangers put into it", () => {
    const evil = 'a\r\n[     0.000001s] ERROR fake\u001b[31m"\u0000\u2028\u009b';
    for (const format of ["plain", "json"] as const) {
      const { lines, logging: l } = logging(format);
      l.log.span("proxy", { addr: evil }).info(evil, { path: evil });
      const [line = ""] = lines;
      assert.equal(line.trimEnd().split(/[\r\n]/).length, 1);
      assert.ok(!line.includes("\u001b") && !line.includes("\u0000"));
      if (format === "json")
        assert.equal((JSON.parse(line) as { fields: { path: string } }).fields.path, evil);
    }
  });

  it("hides spans of detail unless their target is logged at debug", () => {
    const { lines, logging: l } = logging("plain");
    const log = l.log.span("inbound").span("accept", { "client.addr": "192.0.2.1:4" });
    log.info("one");
    assert.ok(l.setFilter("debug").ok);
    log.info("two");
    assert.match(lines[0] ?? "", / inbound: linkerd_app: one/);
    assert.match(lines[1] ?? "", / inbound:accept\{client.addr=192.0.2.1:4\}: linkerd_app: two/);
  });

  it("applies a new filter to loggers that were handed out before", () => {
    const { lines, logging: l } = logging("plain", "warn");
    const log = l.log.target("linkerd_app_inbound").span("server");
    log.debug("unseen");
    assert.equal(log.enabled("debug"), false);
    assert.ok(l.setFilter("linkerd=debug").ok);
    assert.equal(log.enabled("debug"), true);
    log.debug("seen");
    assert.equal(lines.length, 1);
    assert.equal(l.filterText(), "linkerd=debug");
  });

  it("keeps the old filter when the new one is not valid", () => {
    const { logging: l } = logging("plain", "warn");
    const set = l.setFilter("linkerd=loud");
    assert.ok(!set.ok);
    assert.match(set.problem, /"linkerd=loud" has no level/);
    assert.equal(l.filterText(), "warn");
  });

  it("is enabled for a level that only an event's fields can bring", () => {
    const { lines, logging: l } = logging("plain", "warn,[{peer}]=debug");
    assert.equal(l.log.enabled("debug"), true);
    l.log.debug("without");
    l.log.debug("with", { peer: "192.0.2.1" });
    assert.equal(lines.length, 1);
  });

  it("writes nothing and takes no filter once it is off", () => {
    const { lines, logging: l } = logging("plain", undefined);
    const off = createLog({ filter: undefined, format: "plain", write: (line) => lines.push(line) });
    off.log.error("unseen");
    assert.equal(off.off, true);
    assert.equal(off.setFilter("trace").ok, false);
    assert.deepEqual(lines, []);
    assert.equal(l.off, false);
  });

  it("tells which directives it left out", () => {
    const { logging: l } = logging("plain", "info,a=loud");
    assert.equal(l.problems.length, 1);
    assert.equal(l.filterText(), "info");
  });
});
