import type { ProxyError } from "../errors/proxy-error.ts";
import { countEvent } from "../metrics/count-event.ts";
import type { CounterFamily } from "../metrics/family.ts";
import { withLast } from "../metrics/labels.ts";
import type { Counter, Labels } from "../metrics/registry.ts";
import type { ForwardEnd } from "../transport/forward.ts";

/** The families of one kind of route: `outbound_tcp_route_*` or `outbound_tls_route_*`. */
export interface TcpRouteFamilies {
  readonly open: CounterFamily;
  readonly close: CounterFamily;
}

/** Values of the label `error`, "" for an orderly end; their series are made together. */
const CLOSE_ERRORS = ["", "forbidden", "invalid_backend", "invalid_policy", "unexpected"] as const;
type CloseError = (typeof CLOSE_ERRORS)[number];

/**
 * Counts the connections of one route, from being routed to their end. A connection that never reached a server was
 * opened and closed all the same.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/metrics/transport.rs.
 */
export class TcpRouteMetrics {
  readonly #families: TcpRouteFamilies;
  readonly #labels: Labels;
  readonly #open: Counter;
  readonly #close: ReadonlyMap<CloseError, Counter>;
  #released = false;

  constructor(families: TcpRouteFamilies, labels: Labels) {
    this.#families = families;
    this.#labels = labels;
    this.#open = families.open.cell(labels);
    this.#close = new Map(
      CLOSE_ERRORS.map((error) => [error, families.close.cell(this.#closeLabels(error))]),
    );
  }

  opened(): void {
    if (this.#released) countEvent(this.#families.open, this.#labels);
    else this.#open.value++;
  }

  /** @param error why it ended early; undefined after an orderly end. */
  closed(error: ProxyError | undefined): void {
    this.#countClose(error === undefined ? "" : closeError(error));
  }

  /** The same for a connection that reached a server. Whoever broke it off then, it was no rule of the route. */
  ended({ by }: ForwardEnd): void {
    this.#countClose(by === undefined ? "" : "unexpected");
  }

  /** The route is replaced; connections on it go on being counted. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#families.open.release(this.#labels);
    for (const error of CLOSE_ERRORS) this.#families.close.release(this.#closeLabels(error));
  }

  #countClose(kind: CloseError): void {
    const counter = this.#close.get(kind);
    // The series may have been dropped since the route was replaced: long connections outlive many policies.
    if (this.#released) countEvent(this.#families.close, this.#closeLabels(kind));
    else if (counter !== undefined) counter.value++;
  }

  #closeLabels(error: CloseError): Labels {
    return withLast(this.#labels, "error", error);
  }
}

function closeError({ code }: ProxyError): CloseError {
  switch (code) {
    case "unauthorized":
      return "forbidden";
    case "invalid_backend":
    case "invalid_policy":
      return code;
    default:
      return "unexpected";
  }
}
