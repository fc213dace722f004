/** What the two applications agree on, and what the client reports. */

/** The gRPC methods of the server: both send back what they get. */
export const UNARY_METHOD = "/demo.Echo/Say";
export const BIDI_METHOD = "/demo.Echo/Talk";

/**
 * Where the server tells which identity it was shown, in answers that have no body to tell it in: a header of the
 * WebSocket handshake, and gRPC metadata.
 */
export const SEEN_CLIENT_ID = "seen-client-id";

/** The body of every HTTP answer of the server: the request as it arrived. */
export interface SeenRequest {
  /** "1.1" or "2.0". */
  readonly httpVersion: string;
  readonly method: string;
  readonly path: string;
  /** The identity of the client as the server's sidecar says; null if it says none. */
  readonly clientId: string | null;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** The ports of the server by the names that the manifests give them. */
export interface ServerPorts {
  readonly http: number;
  readonly http2: number;
  readonly grpc: number;
  readonly tcp: number;
}

/** Everything that the client sends in one round, in this order. The last one goes to the proxy port, as `curl -x` does. */
export const REQUESTS = [
  "http/1",
  "http/2",
  "grpc-unary",
  "grpc-stream",
  "websocket",
  "tcp",
  "http/1-proxied",
] as const;
export type RequestName = (typeof REQUESTS)[number];

/** Where a request goes. */
export interface RequestTarget {
  /** A port on loopback: a forward of the sidecar, or its proxy port. */
  readonly port: number;
  /** The service meant, as `name:port`. */
  readonly authority: string;
}

export type RequestTargets = Readonly<Record<RequestName, RequestTarget>>;

/** How one request went, as the client knows it. */
export interface Answer {
  readonly protocol: RequestName;
  /** The HTTP status, 101 for a WebSocket; the gRPC status; "echoed" or "refused" for TCP; "error" without any answer. */
  readonly status: number | string;
  /** Whether what was sent came back whole. */
  readonly echoed: boolean;
  /** The identity that the server says it was shown; null where it says none, or cannot. */
  readonly clientId: string | null;
  /** The HTTP version in which the server got the request; null where there is none to tell. */
  readonly httpVersion: string | null;
  readonly latencyMs: number;
  /** What went wrong below the protocol, for people. */
  readonly error: string | null;
}
