import type { TraceConfig } from "./config.ts";
import { VARIABLES } from "./env-names.ts";
import { loadService } from "./load-control.ts";
import type { Reader } from "./reader.ts";

/** Whether and how spans are told; undefined where no collector is named, and after a problem. */
export function loadTrace(r: Reader): TraceConfig | undefined {
  const V = VARIABLES;
  if (!r.isSet(V.traceCollector.addr) && !r.isSet(V.traceCollector.name)) return undefined;
  const collector = loadService(r, V.traceCollector, "trace collector");
  if (collector === undefined) return undefined;
  return {
    collector,
    serviceName: r.optional(V.traceServiceName),
    attributesPath: r.optional(V.traceAttributesPath),
    extraAttributes: r.optional(V.traceExtraAttributes),
    otelAttributes: r.optional(V.otelResourceAttributes),
    hostName: r.optional(V.hostName),
  };
}
