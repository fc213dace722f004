import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TraceConfig } from "../../src/config/config.ts";
import { loadTrace } from "../../src/config/load-trace.ts";
import { Reader } from "../../src/config/reader.ts";

const ADDR = "LINKERD2_PROXY_TRACE_COLLECTOR_SVC_ADDR";
const NAME = "LINKERD2_PROXY_TRACE_COLLECTOR_SVC_NAME";

function loadWith(values: Readonly<Record<string, string>>): {
  readonly trace: TraceConfig | undefined;
  readonly problems: readonly string[];
} {
  const r = new Reader((name) => values[name]);
  return { trace: loadTrace(r), problems: r.problems };
}

describe("inbound 10: traces", () => {
  it("are off without a collector, whatever else is set", () => {
    assert.deepEqual(loadWith({ LINKERD2_PROXY_TRACE_SERVICE_NAME: "x", HOSTNAME: "h" }), {
      trace: undefined,
      problems: [],
    });
  });

  it("are told a collector with a name, and by what the process is known", () => {
    const { trace, problems } = loadWith({
      [ADDR]: "collector.linkerd-jaeger:4317",
      [NAME]: "collector.linkerd-jaeger.serviceaccount.identity.linkerd.cluster.local",
      LINKERD2_PROXY_TRACE_SERVICE_NAME: "linkerd-proxy",
      LINKERD2_PROXY_TRACE_ATTRIBUTES_PATH: "/var/run/linkerd/podinfo/labels",
      LINKERD2_PROXY_TRACE_EXTRA_ATTRIBUTES: "a=1\n",
      LINKERD2_PROXY_TRACE_PROTOCOL: "opentelemetry",
      OTEL_RESOURCE_ATTRIBUTES: "b=2",
      HOSTNAME: "web-0",
    });
    assert.deepEqual(problems, []);
    assert.equal(
      trace?.collector.name,
      "collector.linkerd-jaeger.serviceaccount.identity.linkerd.cluster.local",
    );
    assert.deepEqual(
      { ...trace, collector: undefined },
      {
        collector: undefined,
        serviceName: "linkerd-proxy",
        attributesPath: "/var/run/linkerd/podinfo/labels",
        extraAttributes: "a=1\n",
        otelAttributes: "b=2",
        hostName: "web-0",
      },
    );
  });

  it("need no name on loopback alone", () => {
    assert.equal(loadWith({ [ADDR]: "127.0.0.1:4317", [NAME]: "c.d" }).trace?.collector.name, undefined);
    for (const values of [{ [ADDR]: "192.0.2.1:4317" }, { [NAME]: "c.d" }]) {
      const { trace, problems } = loadWith(values);
      assert.equal(trace, undefined);
      assert.match(problems.join(), new RegExp(`^${ADDR} and ${NAME} must be specified together`));
    }
    assert.match(
      loadWith({ [ADDR]: "nowhere" }).problems.join(),
      /^LINKERD2_PROXY_TRACE_COLLECTOR_SVC_ADDR="nowhere"/,
    );
  });
});
