import { GRPC_UNKNOWN, grpcStatusName } from "../../classify/grpc.ts";
import type { ErrorCode, ProxyError } from "../../errors/proxy-error.ts";
import type { CounterFamily } from "../../metrics/family.ts";
import { withLast } from "../../metrics/labels.ts";
import type { Counter, Labels } from "../../metrics/registry.ts";

/**
 * Counts exchanges by `http_status` or `grpc_status` and `error`: the `*_statuses_total` of a route, or of one of its
 * backends. Each outcome makes its series when it first happens, and from then on costs one addition.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/logical/policy/route/metrics/labels.rs.
 */
export class OutcomeCounters {
  readonly #family: CounterFamily;
  readonly #labels: Labels;
  readonly #isGrpc: boolean;
  /** By status or by code, for what ended without an error: almost everything. */
  readonly #plain: (Counter | undefined)[] = [];
  readonly #others = new Map<string, Counter>();
  readonly #held: Labels[] = [];
  #closed = false;

  /** @param isGrpc of the route: what its requests look like does not matter. */
  constructor(family: CounterFamily, labels: Labels, isGrpc: boolean) {
    this.#family = family;
    this.#labels = labels;
    this.#isGrpc = isGrpc;
  }

  /**
   * @param status 0 if there was no response head.
   * @param grpcCode of `grpcCodeOf`.
   * @param canceled the client gave up.
   */
  count(
    status: number,
    grpcCode: number | undefined,
    error: ProxyError | undefined,
    canceled: boolean,
  ): void {
    if (error === undefined) {
      const cell = this.#isGrpc
        ? (this.#plain[grpcCode ?? GRPC_UNKNOWN] ??= this.#cell(grpcStatusName(grpcCode ?? GRPC_UNKNOWN), ""))
        : (this.#plain[status] ??= this.#cell(String(status), ""));
      cell.value++;
      return;
    }
    const shown = this.#isGrpc
      ? grpcStatusName(grpcCode ?? error.detail.grpcStatus ?? GRPC_UNKNOWN)
      : httpStatus(status, error);
    const why = canceled ? "CANCEL" : errorName(error);
    const key = `${shown} ${why}`;
    let cell = this.#others.get(key);
    if (cell === undefined) {
      cell = this.#cell(shown, why);
      this.#others.set(key, cell);
    }
    cell.value++;
  }

  /** Exchanges that are still under way go on being counted. */
  close(): void {
    this.#closed = true;
    for (const labels of this.#held) this.#family.release(labels);
    this.#held.length = 0;
  }

  #cell(outcome: string, error: string): Counter {
    const name = this.#isGrpc ? "grpc_status" : "http_status";
    const labels = withLast(withLast(this.#labels, name, outcome), "error", error);
    const cell = this.#family.cell(labels);
    // Nobody will close it again: the series lives on for its retention only.
    if (this.#closed) this.#family.release(labels);
    else this.#held.push(labels);
    return cell;
  }
}

/** A filter that answers gives a status, not an error. */
function httpStatus(status: number, { detail }: ProxyError): string {
  if (status !== 0) return String(status);
  return detail.status === undefined ? "" : String(detail.status);
}

function errorName({ code, detail }: ProxyError): string {
  if (code === "h2_reset") return H2_NAMES.get(detail.h2Code ?? 0) ?? "RESET";
  return ERROR_NAMES.get(code) ?? "UNKNOWN";
}

const ERROR_NAMES: ReadonlyMap<ErrorCode, string> = new Map([
  ["failfast", "FAIL_FAST"],
  ["loadshed", "LOAD_SHED"],
  ["redirected", ""],
  ["injected_failure", ""],
  ["response_headers_timeout", "RESPONSE_HEADERS_TIMEOUT"],
  ["response_timeout", "RESPONSE_STREAM_TIMEOUT"],
  ["request_timeout", "REQUEST_TIMEOUT"],
  ["stream_idle_timeout", "IDLE_TIMEOUT"],
  ["h2_goaway", "GO_AWAY"],
  ["io", "IO"],
  ["connect_timeout", "IO"],
  ["upstream_closed", "IO"],
  ["tls_identity", "IO"],
]);

/** Reset codes with a name of their own (RFC 9113 section 7). */
const H2_NAMES: ReadonlyMap<number, string> = new Map([
  [0x7, "REFUSED"],
  [0x8, "CANCEL"],
  [0xb, "ENHANCE_YOUR_CALM"],
]);
