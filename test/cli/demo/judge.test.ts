import assert from "node:assert/strict";
import { test } from "node:test";
import { REQUESTS, type Answer, type RequestName } from "../../../src/cli/demo/contract.ts";
import { judge, type Evidence } from "../../../src/cli/demo/judge.ts";
import { parseSamples } from "../../../src/cli/demo/samples.ts";

const EXPECTED = { clientId: "client.example", tlsVersion: "TLSv1.3", tlsGroup: "X25519MLKEM768" };

const SERVICE_PORTS: Readonly<Record<RequestName, number>> = {
  "http/1": 80,
  "http/2": 82,
  "grpc-unary": 50,
  "grpc-stream": 50,
  websocket: 81,
  tcp: 70,
  "http/1-proxied": 80,
};

const STATUS: Readonly<Record<RequestName, number | string>> = {
  "http/1": 200,
  "http/2": 200,
  "grpc-unary": 0,
  "grpc-stream": 0,
  websocket: 101,
  tcp: "echoed",
  "http/1-proxied": 200,
};

function answerTo(protocol: RequestName): Answer {
  return {
    protocol,
    status: STATUS[protocol],
    echoed: true,
    clientId: protocol === "tcp" ? null : EXPECTED.clientId,
    httpVersion: protocol === "http/1-proxied" ? "1.1" : null,
    latencyMs: 1,
    error: null,
  };
}

const detected = (result: string, port: number): string =>
  `outbound_tcp_detect_http_results_total{result="${result}",parent_kind="Service",parent_port="${port}"} 1\n`;

const CLIENT_PAGE = [
  detected("http/1", 80),
  detected("http/1", 81),
  detected("http/2", 82),
  detected("http/2", 50),
  detected("not_http", 70),
  'outrigger_tls_handshakes_total{direction="outbound",group="X25519MLKEM768",version="TLSv1.3"} 4\n',
].join("");

const SERVER_PAGE =
  'inbound_tcp_authz_allow_total{target_port="7",tls="true",client_id="client.example"} 1\n' +
  'inbound_tcp_authz_allow_total{target_port="8",tls="true",client_id="other.example"} 1\n';

const ANSWERS = REQUESTS.map(answerTo);

const EVIDENCE: Evidence = {
  first: ANSWERS,
  second: ANSWERS,
  clientBefore: [],
  clientAfter: parseSamples(CLIENT_PAGE),
  serverBefore: [],
  serverAfter: parseSamples(SERVER_PAGE),
  servicePorts: SERVICE_PORTS,
  serverTcpPort: 7,
};

/** The problems of one kind of request, for evidence that differs in something. */
function problemsOf(protocol: RequestName, change: Partial<Evidence>): readonly string[] {
  const results = judge({ ...EVIDENCE, ...change }, EXPECTED);
  const result = results.find((one) => one.protocol === protocol);
  assert.ok(result !== undefined);
  assert.equal(result.ok, result.problems.length === 0);
  return result.problems;
}

function withAnswer(protocol: RequestName, change: Partial<Answer>): readonly Answer[] {
  return ANSWERS.map((answer) => (answer.protocol === protocol ? { ...answer, ...change } : answer));
}

test("all is well when every request came out as it must", () => {
  for (const protocol of REQUESTS) assert.deepEqual(problemsOf(protocol, {}), [], protocol);
});

test("raw TCP gets its client's identity from what the server's sidecar let in on that port", () => {
  const [tcp] = judge(EVIDENCE, EXPECTED).filter(({ protocol }) => protocol === "tcp");
  assert.equal(tcp?.clientId, "client.example");
  assert.deepEqual(problemsOf("tcp", { serverAfter: [] }), [
    "client identity: found nothing, expected client.example",
  ]);
});

const FAULTS: readonly {
  readonly fault: string;
  readonly protocol: RequestName;
  readonly change: Partial<Evidence>;
  readonly problem: RegExp;
}[] = [
  {
    fault: "a wrong status",
    protocol: "http/1",
    change: { second: withAnswer("http/1", { status: 403, echoed: false }) },
    problem: /^status: found 403, expected 200$/,
  },
  {
    fault: "a wrong status in the first round",
    protocol: "http/2",
    change: { first: withAnswer("http/2", { status: 503, error: "loadshed" }) },
    problem: /^status: found 503 \(loadshed\), expected 200$/,
  },
  {
    fault: "an echo that is missing",
    protocol: "websocket",
    change: { second: withAnswer("websocket", { echoed: false }) },
    problem: /did not come back/,
  },
  {
    fault: "no identity",
    protocol: "grpc-unary",
    change: { second: withAnswer("grpc-unary", { clientId: null }) },
    problem: /^client identity: found nothing, expected client\.example$/,
  },
  {
    fault: "another protocol than was spoken",
    protocol: "tcp",
    change: { clientAfter: parseSamples(CLIENT_PAGE.replace('"not_http"', '"http/1"')) },
    problem: /^detected: found http\/1, expected opaque$/,
  },
  {
    fault: "detections that were counted before",
    protocol: "http/1",
    change: { clientBefore: parseSamples(detected("http/1", 80)) },
    problem: /^detected: found nothing, expected http\/1$/,
  },
  {
    fault: "a request to the proxy port that was not served as HTTP/1",
    protocol: "http/1-proxied",
    change: { second: withAnswer("http/1-proxied", { httpVersion: "2.0" }) },
    problem: /^detected: found http\/2, expected http\/1$/,
  },
  {
    fault: "no handshake at all",
    protocol: "http/1",
    change: { clientAfter: parseSamples(CLIENT_PAGE.replace('"outbound"', '"inbound"')) },
    problem: /^TLS version: found nothing, expected TLSv1\.3$/,
  },
  {
    fault: "a handshake with another group among the right ones",
    protocol: "http/1",
    change: {
      clientAfter: parseSamples(
        `${CLIENT_PAGE}outrigger_tls_handshakes_total{direction="outbound",group="X25519",version="TLSv1.3"} 1\n`,
      ),
    },
    problem: /^key exchange group: found X25519MLKEM768 and X25519, expected X25519MLKEM768$/,
  },
];

for (const { fault, protocol, change, problem } of FAULTS) {
  test(`${fault} is a problem, and is told`, () => {
    assert.match(problemsOf(protocol, change).join("\n"), new RegExp(problem.source, "m"));
  });
}
