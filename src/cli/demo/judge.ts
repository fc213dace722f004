import type { Answer, RequestName } from "./contract.ts";
import { grown, valuesOf, type Sample } from "./samples.ts";

/** How one kind of request came out, as the demo reports it. */
export interface RequestResult {
  readonly protocol: RequestName;
  /** What the client's sidecar took the connection for; null if nothing tells. */
  readonly detected: string | null;
  readonly ok: boolean;
  readonly status: number | string;
  /** The identity that the far side saw. */
  readonly clientId: string | null;
  readonly tls: { readonly version: string | null; readonly group: string | null };
  /** Of the second request, on warm connections between the sidecars. */
  readonly latencyMs: number;
  /** Of the first one, which waits for discovery and the TLS handshake. */
  readonly firstLatencyMs: number;
  /** What was not as it must be. */
  readonly problems: readonly string[];
}

/** Everything that was seen of two rounds of requests. */
export interface Evidence {
  readonly first: readonly Answer[];
  readonly second: readonly Answer[];
  /** The counts of both sidecars, before the first round and after the second. */
  readonly clientBefore: readonly Sample[];
  readonly clientAfter: readonly Sample[];
  readonly serverBefore: readonly Sample[];
  readonly serverAfter: readonly Sample[];
  /** The port of the service that each kind of request was for. */
  readonly servicePorts: Readonly<Record<RequestName, number>>;
  /** Where the server takes raw TCP. */
  readonly serverTcpPort: number;
}

/** What must have come out. */
export interface Expected {
  readonly clientId: string;
  readonly tlsVersion: string;
  readonly tlsGroup: string;
}

const STATUS: Readonly<Record<RequestName, number | string>> = {
  "http/1": 200,
  "http/2": 200,
  "grpc-unary": 0,
  "grpc-stream": 0,
  websocket: 101,
  tcp: "echoed",
  "http/1-proxied": 200,
};

const DETECTED: Readonly<Record<RequestName, string>> = {
  "http/1": "http/1",
  "http/2": "http/2",
  "grpc-unary": "http/2",
  "grpc-stream": "http/2",
  websocket: "http/1",
  tcp: "opaque",
  "http/1-proxied": "http/1",
};

/** Says of every request what happened to it, and what of that must not be. Both rounds have to be right. */
export function judge(evidence: Evidence, expected: Expected): readonly RequestResult[] {
  const tls = tlsOf(evidence);
  return evidence.second.map((answer, index) => {
    const first = evidence.first[index] ?? answer;
    const { protocol } = answer;
    const detected = detectedFor(evidence, answer);
    const clientId = protocol === "tcp" ? tcpClientId(evidence) : answer.clientId;
    const problems = [
      ...new Set([...answerProblems(first), ...answerProblems(answer)]),
      ...differences("detected", detected, DETECTED[protocol]),
      ...differences("client identity", clientId, expected.clientId),
      ...differences("TLS version", tls.version, expected.tlsVersion),
      ...differences("key exchange group", tls.group, expected.tlsGroup),
    ];
    return {
      protocol,
      detected,
      ok: problems.length === 0,
      status: answer.status,
      clientId,
      tls,
      latencyMs: answer.latencyMs,
      firstLatencyMs: first.latencyMs,
      problems,
    };
  });
}

function answerProblems({ protocol, status, echoed, error }: Answer): readonly string[] {
  const wanted = STATUS[protocol];
  if (status !== wanted) {
    return [`status: found ${status}${error === null ? "" : ` (${error})`}, expected ${wanted}`];
  }
  return echoed ? [] : ["what was sent did not come back"];
}

function differences(what: string, found: string | null, wanted: string): readonly string[] {
  return found === wanted ? [] : [`${what}: found ${found ?? "nothing"}, expected ${wanted}`];
}

/** The proxy's own words, save that what is no HTTP is passed on unread, which the mesh calls opaque. */
const WORD_OF_RESULT = new Map([["not_http", "opaque"]]);

function detectedFor(evidence: Evidence, { protocol, httpVersion }: Answer): string | null {
  // The proxy port counts no detections. The server gets a request in the version in which the client's sidecar read it.
  if (protocol === "http/1-proxied")
    return httpVersion === null ? null : `http/${Number.parseInt(httpVersion, 10)}`;
  const counted = grown(evidence.clientBefore, evidence.clientAfter, {
    name: "outbound_tcp_detect_http_results_total",
    labels: { parent_kind: "Service", parent_port: String(evidence.servicePorts[protocol]) },
  });
  return joined(valuesOf(counted, "result").map((result) => WORD_OF_RESULT.get(result) ?? result));
}

/** Bytes carry no headers: who sent them is what the server's sidecar let in. */
function tcpClientId({ serverBefore, serverAfter, serverTcpPort }: Evidence): string | null {
  const allowed = grown(serverBefore, serverAfter, {
    name: "inbound_tcp_authz_allow_total",
    labels: { target_port: String(serverTcpPort), tls: "true" },
  });
  return joined(valuesOf(allowed, "client_id"));
}

/** Connections between sidecars are shared, so no request has a handshake of its own: all of them must be alike. */
function tlsOf({ clientBefore, clientAfter }: Evidence): RequestResult["tls"] {
  const handshakes = grown(clientBefore, clientAfter, {
    name: "outrigger_tls_handshakes_total",
    labels: { direction: "outbound" },
  });
  return { version: joined(valuesOf(handshakes, "version")), group: joined(valuesOf(handshakes, "group")) };
}

/** More than one value is shown as what it is, and matches nothing that is expected. */
function joined(values: readonly string[]): string | null {
  return values.length === 0 ? null : values.join(" and ");
}
