import { parsed, unparsed, type Parsed } from "../../parsed.ts";

/** Who calls the policy API, as the workload string of its proxy says. */
export type Caller =
  | { readonly kind: "pod"; readonly namespace: string; readonly name: string }
  | { readonly kind: "external_workload"; readonly namespace: string; readonly name: string };

/** Reads `{"ns":"shop","external_workload":"web-1"}`, `{"ns":"shop","pod":"web-0"}` or the older `shop:web-0`. */
export function parseWorkload(text: string): Parsed<Caller> {
  if (text.startsWith("{")) {
    const fields = parseObject(text);
    const namespace = fields?.get("ns");
    const pod = fields?.get("pod");
    const workload = fields?.get("external_workload");
    if (namespace && workload) return parsed({ kind: "external_workload", namespace, name: workload });
    if (namespace && pod) return parsed({ kind: "pod", namespace, name: pod });
    return unparsed(`the workload is not like {"ns":"NAMESPACE","external_workload":"NAME"}`);
  }
  const [namespace, name, more] = text.trim().split(":");
  if (!namespace || !name || more !== undefined) return unparsed("the workload is not like NAMESPACE:NAME");
  return parsed({ kind: "pod", namespace, name });
}

/** What a destination lookup says about its caller. Unreadable text counts as empty, as the controller has it. */
export interface ContextToken {
  readonly nodeName: string;
  /** Whose ServiceProfiles count first. */
  readonly namespace: string;
}

/** Reads `{"ns":"shop","nodeName":"n1"}`, or `ns:shop` of older proxies. Source: linkerd2, controller/api/destination/server.go. */
export function parseContextToken(text: string): ContextToken {
  const fields = parseObject(text);
  if (fields !== undefined) {
    return { nodeName: fields.get("nodeName") ?? "", namespace: fields.get("ns") ?? "" };
  }
  const [key, namespace = "", more] = text.split(":");
  return { nodeName: "", namespace: key === "ns" && more === undefined ? namespace : "" };
}

/** The text fields of a JSON object. */
function parseObject(text: string): ReadonlyMap<string, string> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    return new Map(
      Object.entries(value).flatMap(([key, field]): [string, string][] =>
        typeof field === "string" ? [[key, field]] : [],
      ),
    );
  } catch {
    return undefined;
  }
}
