import { fromBinary } from "@bufbuild/protobuf";
import { formatSocketAddr } from "../../addr/socket-addr.ts";
import { assertNever } from "../../parsed.ts";
import type { Endpoint, EndpointUpdate } from "../../policy/endpoint.ts";
import { UpdateSchema, type Update, type WeightedAddrSet } from "../../proto/gen/destination_pb.js";
import { endpointFromProto } from "./endpoint.ts";
import { socketAddrFromProto } from "./net.ts";
import { PIECE_ENDPOINTS, splitUpdate } from "./split-update.ts";

/** A change of an endpoint set, and what was wrong with parts of it. */
export interface ConvertedUpdate {
  /** Undefined for a message of unknown kind. */
  readonly change: EndpointUpdate | undefined;
  /** At most `PROBLEMS_MAX`: one bad template makes thousands of bad endpoints. */
  readonly problems: readonly string[];
}

const PROBLEMS_MAX = 8;

/**
 * One message of Destination.Get. Endpoints without a usable address are left out; both kinds of "no endpoints" empty
 * the set.
 *
 * @param firstIndex where the first endpoint stood in the message that this is a piece of.
 */
export function endpointUpdateFromProto({ update }: Update, firstIndex = 0): ConvertedUpdate {
  switch (update.case) {
    case "add":
      return added(update.value, firstIndex);
    case "remove": {
      const addrs = update.value.addrs.flatMap((addr) => socketAddrFromProto(addr) ?? []);
      return { change: { kind: "remove", addrs }, problems: [] };
    }
    case "noEndpoints":
      return { change: { kind: "reset", endpoints: [] }, problems: [] };
    case undefined:
      return { change: undefined, problems: [] };
    default:
      return assertNever(update);
  }
}

/** The same from bytes, in steps of some milliseconds each. Throws at a step if they are no `Update`. */
export function* endpointUpdateInSteps(bytes: Uint8Array): Generator<undefined, ConvertedUpdate> {
  const [first, ...more] = splitUpdate(bytes);
  if (more.length > 0) yield;
  const head = endpointUpdateFromProto(fromBinary(UpdateSchema, first ?? bytes));
  if (more.length === 0 || head.change?.kind !== "add") return head;
  const endpoints = [...head.change.endpoints];
  const problems = [...head.problems];
  let index = PIECE_ENDPOINTS;
  for (const piece of more) {
    yield;
    const { change, problems: further } = endpointUpdateFromProto(fromBinary(UpdateSchema, piece), index);
    if (change?.kind === "add") endpoints.push(...change.endpoints);
    problems.push(...further.slice(0, PROBLEMS_MAX - problems.length));
    index += PIECE_ENDPOINTS;
  }
  return { change: { kind: "add", endpoints }, problems };
}

function added(set: WeightedAddrSet, firstIndex: number): ConvertedUpdate {
  const endpoints: Endpoint[] = [];
  const problems: string[] = [];
  const report = (problem: string): void => {
    if (problems.length < PROBLEMS_MAX) problems.push(problem);
  };
  set.addrs.forEach((addr, i) => {
    const endpoint = endpointFromProto(addr, set.metricLabels);
    if (endpoint === undefined) {
      report(`add.addrs[${firstIndex + i}]: has no address or port`);
      return;
    }
    endpoints.push(endpoint);
    const { identity } = endpoint.metadata;
    if (identity.kind === "invalid") {
      const where = formatSocketAddr(endpoint.addr);
      report(
        `add.addrs[${firstIndex + i}].tls_identity: ${identity.problem}; ${where} will refuse connections`,
      );
    }
  });
  return { change: { kind: "add", endpoints }, problems };
}
