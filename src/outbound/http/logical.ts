import { ProxyError } from "../../errors/proxy-error.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../../http/message.ts";
import type {
  Backend,
  ClientPolicy,
  ClientProtocol,
  FailureAccrual,
  GrpcClientRoute,
  HttpClientRoute,
} from "../../policy/client-policy.ts";
import { grpcRouteTable, httpRouteTable, type RouteMatch } from "../../policy/find-route.ts";
import type { Meta } from "../../policy/meta.ts";
import type { RequestView } from "../../policy/request-view.ts";
import type { Watch } from "../../watch/watch.ts";
import { backendsOf, type BackendCache } from "../backend-cache.ts";
import type { HttpBackend } from "./backend.ts";
import { breakerPolicy } from "./breaker.ts";
import { RouteStack, type RouteStackContext } from "./route.ts";

type AnyClientRoute = HttpClientRoute | GrpcClientRoute;
type AnyMatch = RouteMatch<AnyClientRoute>;

/** The routes of one snapshot, with a stack for each match that traffic has met so far. */
interface Snapshot {
  readonly parent: Meta;
  readonly find: (request: RequestView) => AnyMatch | undefined;
  readonly stacks: Map<AnyMatch, RouteStack>;
  readonly isGrpc: boolean;
  readonly failureAccrual: FailureAccrual | undefined;
  /** Every backend that the routes name. */
  readonly backends: readonly Backend[];
}

/**
 * Routes the requests of one target and HTTP version over the backends that its policy names.
 *
 * A new policy replaces the routes at once; requests under way finish on what they began with. Backends that the new
 * policy names unchanged keep their connections and load.
 */
export class LogicalService implements HttpService {
  readonly #version: 1 | 2;
  readonly #context: RouteStackContext;
  readonly #backends: BackendCache<HttpBackend>;
  readonly #targetName: string;
  readonly #stop = new AbortController();
  #snapshot: Snapshot;

  constructor(
    version: 1 | 2,
    targetName: string,
    policy: Watch<ClientPolicy>,
    backends: BackendCache<HttpBackend>,
    context: RouteStackContext,
  ) {
    this.#version = version;
    this.#targetName = targetName;
    this.#context = context;
    this.#backends = backends;
    this.#snapshot = snapshotOf(policy.value, version) ?? NO_ROUTES;
    policy.subscribe(this.#stop.signal, (value) => this.#replace(value));
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const snapshot = this.#snapshot;
    const match = snapshot.find(head);
    if (match === undefined) {
      response.reset(new ProxyError("route_not_found", `logical service ${this.#targetName}: no route`));
      return new DiscardSink(response);
    }
    return (snapshot.stacks.get(match) ?? this.#build(snapshot, match)).call(head, last, response);
  }

  close(): void {
    this.#stop.abort();
    for (const stack of this.#snapshot.stacks.values()) stack.close();
    this.#backends.retain([]);
  }

  #build(snapshot: Snapshot, match: AnyMatch): RouteStack {
    const stack = new RouteStack(
      {
        logical: this.#targetName,
        parent: snapshot.parent,
        route: match.route.meta,
        rule: match.rule,
        prefixLength: match.prefixLength,
        isGrpc: snapshot.isGrpc,
        failureAccrual: snapshot.failureAccrual,
      },
      this.#backends,
      this.#context,
    );
    snapshot.stacks.set(match, stack);
    return stack;
  }

  /** A policy that stopped being about HTTP is for connections to come: those that are here go on with their routes. */
  #replace(policy: ClientPolicy): void {
    const next = snapshotOf(policy, this.#version);
    if (next === undefined) return;
    for (const stack of this.#snapshot.stacks.values()) stack.close();
    this.#snapshot = next;
    this.#backends.retain(next.backends, breakerPolicy(next));
  }
}

const NO_ROUTES: Snapshot = {
  parent: { kind: "default", name: "none" },
  find: () => undefined,
  stacks: new Map(),
  isGrpc: false,
  failureAccrual: undefined,
  backends: [],
};

function snapshotOf(policy: ClientPolicy, version: 1 | 2): Snapshot | undefined {
  const { parent, protocol } = policy;
  const stacks = new Map<AnyMatch, RouteStack>();
  if (protocol.kind === "grpc") {
    const { routes, failureAccrual } = protocol.grpc;
    const table = grpcRouteTable(routes);
    const find = (request: RequestView): AnyMatch | undefined => table.find(request);
    return { parent, stacks, find, isGrpc: true, failureAccrual, backends: namedBy(routes) };
  }
  const http = httpRoutesOf(protocol, version);
  if (http === undefined) return undefined;
  const { routes, failureAccrual } = http;
  const table = httpRouteTable(routes);
  const find = (request: RequestView): AnyMatch | undefined => table.find(request);
  return { parent, stacks, find, isGrpc: false, failureAccrual, backends: namedBy(routes) };
}

function namedBy(routes: readonly AnyClientRoute[]): Backend[] {
  return routes.flatMap((route) => route.rules.flatMap(({ distribution }) => backendsOf(distribution)));
}

function httpRoutesOf(protocol: ClientProtocol, version: 1 | 2) {
  switch (protocol.kind) {
    case "detect":
      return version === 1 ? protocol.http1 : protocol.http2;
    case "http1":
      return protocol.http1;
    case "http2":
      return protocol.http2;
    case "grpc":
    case "opaque":
    case "tls":
      return undefined;
    default:
      return protocol satisfies never;
  }
}
