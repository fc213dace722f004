import { formatSocketAddr } from "../../addr/socket-addr.ts";
import { assertNever } from "../../parsed.ts";
import type { Endpoint, EndpointUpdate } from "../../policy/endpoint.ts";
import type { Update, WeightedAddrSet } from "../../proto/gen/destination_pb.js";
import { endpointFromProto } from "./endpoint.ts";
import { socketAddrFromProto } from "./net.ts";

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
 */
export function endpointUpdateFromProto({ update }: Update): ConvertedUpdate {
  switch (update.case) {
    case "add":
      return added(update.value);
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

function added(set: WeightedAddrSet): ConvertedUpdate {
  const endpoints: Endpoint[] = [];
  const problems: string[] = [];
  const report = (problem: string): void => {
    if (problems.length < PROBLEMS_MAX) problems.push(problem);
  };
  set.addrs.forEach((addr, i) => {
    const endpoint = endpointFromProto(addr, set.metricLabels);
    if (endpoint === undefined) {
      report(`add.addrs[${i}]: has no address or port`);
      return;
    }
    endpoints.push(endpoint);
    const { identity } = endpoint.metadata;
    if (identity.kind === "invalid") {
      const where = formatSocketAddr(endpoint.addr);
      report(`add.addrs[${i}].tls_identity: ${identity.problem}; ${where} will refuse connections`);
    }
  });
  return { change: { kind: "add", endpoints }, problems };
}
