import assert from "node:assert/strict";
import { test } from "node:test";
import { ProfileClassifier } from "../../src/policy/profile-classify.ts";
import type { ProfileRoute } from "../../src/policy/client-policy.ts";
import { fieldsOf } from "../support/recording-app.ts";

type Classes = ProfileRoute["responseClasses"];
const classOf = (low: number, high: number, isFailure: boolean): Classes[number] => ({
  condition: { kind: "status", low, high },
  isFailure,
});

/** What the head and then the end say: `failure 13`, or `open` where the head leaves it to the end. */
function judge(
  classes: Classes,
  contentType: string,
  status: number,
  head: readonly string[],
  trailers: readonly string[] | undefined,
): string {
  const classifier = new ProfileClassifier(classes);
  const grpcOnly = classifier.isGrpcOnly(fieldsOf([`content-type: ${contentType}`]));
  const early = classifier.atHead(grpcOnly, status, fieldsOf(head));
  const outcome = early ?? classifier.atEnd(grpcOnly, status, trailers && fieldsOf(trailers));
  return `${early === undefined ? "open, " : ""}${outcome.classification} ${outcome.grpcStatus}`.trim();
}

const NONE: Classes = [];
const SOME: Classes = [classOf(404, 404, true), classOf(500, 599, false), classOf(500, 500, true)];
const GRPC = "application/grpc+proto";
const JSON = "application/json";

const CASES: readonly (readonly [
  what: string,
  classes: Classes,
  contentType: string,
  status: number,
  head: readonly string[],
  trailers: readonly string[] | undefined,
  expected: string,
])[] = [
  ["without classes: 5xx is failure", NONE, JSON, 503, [], undefined, "failure"],
  ["without classes: all else is success", NONE, JSON, 499, [], undefined, "success"],
  ["without classes: gRPC by its head", NONE, GRPC, 200, ["grpc-status: 14"], undefined, "failure 14"],
  ["without classes: gRPC by its trailers", NONE, GRPC, 200, [], ["grpc-status: 13"], "open, failure 13"],
  ["without classes: gRPC whatever its status", NONE, GRPC, 503, [], ["grpc-status: 0"], "open, success 0"],
  ["without classes: gRPC that ended early", NONE, GRPC, 200, [], undefined, "open, success 2"],
  [
    "without classes: gRPC that is not a failure",
    NONE,
    GRPC,
    200,
    ["grpc-status: 5"],
    undefined,
    "success 5",
  ],
  ["the first class that holds decides", SOME, JSON, 500, [], undefined, "success"],
  ["a class decides for gRPC too", SOME, GRPC, 404, ["grpc-status: 0"], undefined, "failure"],
  ["no class: gRPC's status in the head", SOME, JSON, 200, ["grpc-status: 2"], undefined, "failure 2"],
  ["no class: gRPC's status in the trailers", SOME, JSON, 200, [], ["grpc-status: 4"], "open, failure 4"],
  ["no class: HTTP's status otherwise", [classOf(200, 200, true)], JSON, 502, [], [], "open, failure"],
  ["an unknown gRPC code is Unknown", NONE, GRPC, 200, ["grpc-status: 77"], undefined, "failure 2"],
  ["what is no number says nothing", NONE, GRPC, 200, ["grpc-status: x"], undefined, "open, success 2"],
];
for (const [what, classes, contentType, status, head, trailers, expected] of CASES) {
  test(`outbound 5.2: responses are judged: ${what}`, () => {
    assert.equal(judge(classes, contentType, status, head, trailers), expected);
  });
}
