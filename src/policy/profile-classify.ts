import { classifyGrpc, GRPC_UNKNOWN } from "../classify/grpc.ts";
import { classifyHttp, type Outcome } from "../classify/http.ts";
import { GRPC_CONTENT_TYPE, GRPC_STATUS } from "../headers.ts";
import type { ProfileRoute } from "./client-policy.ts";
import { matchesStatus } from "./profile-match.ts";
import { findField, headerName, type HeaderField } from "../wire/header-field.ts";

const SUCCESS: Outcome = { classification: "success", grpcStatus: "" };
const FAILURE: Outcome = { classification: "failure", grpcStatus: "" };

/** By code, so that nothing is made per response. */
const GRPC_OUTCOMES: readonly Outcome[] = Array.from({ length: 17 }, (_, code) => ({
  classification: classifyGrpc(code),
  grpcStatus: String(code),
}));

/** gRPC without any status: the stream ended before it, as when the client leaves early. */
const GRPC_OPEN: Outcome = { classification: "success", grpcStatus: String(GRPC_UNKNOWN) };

/**
 * Judges the responses of one profile route. The first response class that holds for a status decides. Where none does,
 * gRPC's own status decides, from the head or else from the trailers, and otherwise HTTP's: 5xx is failure.
 *
 * Source: linkerd2-proxy, linkerd/app/core/src/classify.rs.
 */
export class ProfileClassifier {
  readonly #classes: ProfileRoute["responseClasses"];

  constructor(classes: ProfileRoute["responseClasses"]) {
    this.#classes = classes;
  }

  /**
   * Whether the response will be judged as gRPC alone, whatever its HTTP status. A profile that names classes wants
   * statuses judged by them, so for it the request does not matter.
   *
   * @param fields of the request, before anybody changes them.
   */
  isGrpcOnly(fields: readonly HeaderField[]): boolean {
    if (this.#classes.length > 0) return false;
    return findField(fields, CONTENT_TYPE)?.value.startsWith(GRPC_CONTENT_TYPE) === true;
  }

  /** The outcome as far as the head tells it; undefined if the trailers may have a say. */
  atHead(grpcOnly: boolean, status: number, fields: readonly HeaderField[]): Outcome | undefined {
    for (const { condition, isFailure } of this.#classes) {
      if (matchesStatus(condition, status)) return isFailure ? FAILURE : SUCCESS;
    }
    if (!grpcOnly && this.#classes.length === 0) return ofStatus(status);
    return ofGrpc(fields);
  }

  /**
   * The outcome of a response whose head left it open.
   *
   * @param trailers undefined if there are none, or none that could be waited for.
   */
  atEnd(grpcOnly: boolean, status: number, trailers: readonly HeaderField[] | undefined): Outcome {
    return (trailers && ofGrpc(trailers)) ?? (grpcOnly ? GRPC_OPEN : ofStatus(status));
  }
}

function ofStatus(status: number): Outcome {
  return classifyHttp(status) === "failure" ? FAILURE : SUCCESS;
}

/** A number that is no code of gRPC counts as Unknown; what is no number does not count. */
function ofGrpc(fields: readonly HeaderField[]): Outcome | undefined {
  const text = findField(fields, GRPC_STATUS_NAME)?.value;
  if (text === undefined || !/^[0-9]{1,5}$/.test(text)) return undefined;
  return GRPC_OUTCOMES[Number(text)] ?? GRPC_OUTCOMES[GRPC_UNKNOWN];
}

const CONTENT_TYPE = headerName("content-type");
const GRPC_STATUS_NAME = headerName(GRPC_STATUS);
