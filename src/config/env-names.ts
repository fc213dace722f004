import {
  ADDR,
  BOOL,
  DNS_NAME,
  DNS_SUFFIXES,
  DURATION,
  DURATION_OR_NONE,
  FLOAT,
  FORWARDS,
  IDENTITY,
  IP_SET,
  NETWORKS,
  NON_EMPTY_TEXT,
  oneOf,
  PORT_RANGES,
  SIZE,
  SOCKET_ADDR,
  SOCKET_ADDRS,
  SOCKET_PATH,
  TEXT,
  UINT32,
  UNSAFE,
  type Grammar,
} from "./parse.ts";

/** A variable that may be unset. */
export interface Variable<T> {
  readonly name: string;
  readonly grammar: Grammar<T>;
  /** What it does, in one sentence. */
  readonly sentence: string;
  /** What the table says where there is no default text. */
  readonly unset: string;
}

/** A variable with a value of its own when it is unset. */
export interface DefaultedVariable<T> extends Variable<T> {
  /** Written as an operator would write it. */
  readonly defaultText: string;
}

function variable<T>(name: string, grammar: Grammar<T>, unset: string, sentence: string): Variable<T> {
  return { name, grammar, sentence, unset };
}

function defaulted<T>(
  name: string,
  grammar: Grammar<T>,
  defaultText: string,
  sentence: string,
): DefaultedVariable<T> {
  return { name, grammar, sentence, unset: "", defaultText };
}

/** The three variables of one exponential backoff: set together or not at all. */
function backoff(base: string, longest: string, sentence: string) {
  return {
    min: variable(`${base}_EXP_BACKOFF_MIN`, DURATION, "100ms", `${sentence}: the first pause.`),
    max: variable(`${base}_EXP_BACKOFF_MAX`, DURATION, longest, `${sentence}: the longest pause.`),
    jitter: variable(`${base}_EXP_BACKOFF_JITTER`, FLOAT, "0.1", `${sentence}: the share that chance adds.`),
  };
}

/** The address and name of one controller. */
function controller(base: string, sentence: string, unset = "required") {
  return {
    addr: variable(`${base}_ADDR`, ADDR, unset, `Address of ${sentence}.`),
    name: variable(
      `${base}_NAME`,
      DNS_NAME,
      "required unless the address is loopback",
      `Identity that ${sentence} must prove.`,
    ),
  };
}

function http2Server(side: "INBOUND" | "OUTBOUND") {
  const base = `LINKERD2_PROXY_${side}_SERVER_HTTP2`;
  const own = "the server's own";
  return {
    keepAliveInterval: variable(
      `${base}_KEEP_ALIVE_INTERVAL`,
      DURATION,
      "none",
      "How often HTTP/2 clients are pinged; needs the timeout too.",
    ),
    keepAliveTimeout: variable(
      `${base}_KEEP_ALIVE_TIMEOUT`,
      DURATION,
      "none",
      "How long a ping may stay unanswered; needs the interval too.",
    ),
    maxConcurrentStreams: variable(
      `${base}_MAX_CONCURRENT_STREAMS`,
      UINT32,
      own,
      "Streams that one HTTP/2 client may have open.",
    ),
    maxFrameSize: variable(`${base}_MAX_FRAME_SIZE`, UINT32, own, "Largest HTTP/2 frame accepted, in bytes."),
    maxHeaderListSize: variable(
      `${base}_MAX_HEADER_LIST_SIZE`,
      UINT32,
      own,
      "Largest header list accepted, in bytes.",
    ),
    maxPendingAcceptResetStreams: variable(
      `${base}_MAX_PENDING_ACCEPT_RESET_STREAMS`,
      SIZE,
      own,
      "Streams that one read of a connection may open and reset; 250 at most.",
    ),
    maxSendBufferSize: variable(
      `${base}_MAX_SEND_BUF_SIZE`,
      SIZE,
      own,
      "Bytes of a stream taken ahead of a slow client; 409600 at most.",
    ),
    adaptiveFlowControl: defaulted(
      `${base}_ADAPTIVE_FLOW_CONTROL`,
      BOOL,
      "false",
      "Sizes receive windows by measurement; overrides the two below.",
    ),
    streamWindow: variable(
      `${base}_INITIAL_STREAM_WINDOW_SIZE`,
      UINT32,
      "65535",
      "Receive window of a stream, in bytes; needs the connection window too.",
    ),
    connectionWindow: variable(
      `${base}_INITIAL_CONNECTION_WINDOW_SIZE`,
      UINT32,
      "1048576",
      "Receive window of a connection, in bytes; needs the stream window too.",
    ),
  };
}

const D = "LINKERD2_PROXY";

const LISTENERS = {
  outboundListenAddrs: variable(
    `${D}_OUTBOUND_LISTEN_ADDRS`,
    SOCKET_ADDRS,
    "none",
    "Where applications' connections are accepted; wins over the next.",
  ),
  outboundListenAddr: defaulted(
    `${D}_OUTBOUND_LISTEN_ADDR`,
    SOCKET_ADDR,
    "127.0.0.1:4140",
    "Older name of the same, for one address.",
  ),
  inboundListenAddr: defaulted(
    `${D}_INBOUND_LISTEN_ADDR`,
    SOCKET_ADDR,
    "0.0.0.0:4143",
    "Where connections to the application are accepted.",
  ),
  adminListenAddr: defaulted(
    `${D}_ADMIN_LISTEN_ADDR`,
    SOCKET_ADDR,
    "127.0.0.1:4191",
    "Where metrics and probes are served.",
  ),
  tapListenAddr: defaulted(
    `${D}_CONTROL_LISTEN_ADDR`,
    SOCKET_ADDR,
    "0.0.0.0:4190",
    "Where the tap controller may watch requests, if it is told who that is.",
  ),
  tapServiceName: variable(
    `${D}_TAP_SVC_NAME`,
    IDENTITY,
    "no tap server",
    "Identity of the one client that may watch requests.",
  ),
  inboundListenBacklog: variable(
    `${D}_INBOUND_TCP_LISTEN_BACKLOG`,
    UINT32,
    "the system's",
    "Connections that may wait to be accepted, inbound and admin.",
  ),
  outboundListenBacklog: variable(
    `${D}_OUTBOUND_TCP_LISTEN_BACKLOG`,
    UINT32,
    "the system's",
    "Connections that may wait to be accepted, outbound.",
  ),
  inboundAcceptKeepAlive: variable(
    `${D}_INBOUND_ACCEPT_KEEPALIVE`,
    DURATION,
    "the system's",
    "Idle time before TCP keep-alive probes to inbound clients.",
  ),
  outboundAcceptKeepAlive: variable(
    `${D}_OUTBOUND_ACCEPT_KEEPALIVE`,
    DURATION,
    "the system's",
    "Idle time before TCP keep-alive probes to outbound clients.",
  ),
  inboundAcceptUserTimeout: variable(
    `${D}_INBOUND_ACCEPT_USER_TIMEOUT`,
    DURATION,
    "none",
    "TCP_USER_TIMEOUT of accepted inbound sockets.",
  ),
  outboundAcceptUserTimeout: variable(
    `${D}_OUTBOUND_ACCEPT_USER_TIMEOUT`,
    DURATION,
    "none",
    "TCP_USER_TIMEOUT of accepted outbound sockets.",
  ),
};

const CONNECTING = {
  inboundConnectTimeout: defaulted(
    `${D}_INBOUND_CONNECT_TIMEOUT`,
    DURATION,
    "300ms",
    "Time to connect to the application.",
  ),
  outboundConnectTimeout: defaulted(
    `${D}_OUTBOUND_CONNECT_TIMEOUT`,
    DURATION,
    "1s",
    "Time to connect to a peer, TLS included.",
  ),
  inboundConnectKeepAlive: variable(
    `${D}_INBOUND_CONNECT_KEEPALIVE`,
    DURATION,
    "the system's",
    "Idle time before TCP keep-alive probes to the application.",
  ),
  outboundConnectKeepAlive: variable(
    `${D}_OUTBOUND_CONNECT_KEEPALIVE`,
    DURATION,
    "the system's",
    "Idle time before TCP keep-alive probes to peers.",
  ),
  inboundConnectUserTimeout: variable(
    `${D}_INBOUND_CONNECT_USER_TIMEOUT`,
    DURATION,
    "none",
    "TCP_USER_TIMEOUT of sockets to the application.",
  ),
  outboundConnectUserTimeout: variable(
    `${D}_OUTBOUND_CONNECT_USER_TIMEOUT`,
    DURATION,
    "none",
    "TCP_USER_TIMEOUT of sockets to peers.",
  ),
  inboundMaxIdleConns: defaulted(
    `${D}_MAX_IDLE_CONNS_PER_ENDPOINT`,
    SIZE,
    "10000",
    "Idle HTTP/1 connections kept to the application.",
  ),
  outboundMaxIdleConns: defaulted(
    `${D}_OUTBOUND_MAX_IDLE_CONNS_PER_ENDPOINT`,
    SIZE,
    "10000",
    "Idle HTTP/1 connections kept to each endpoint.",
  ),
  inboundPoolIdleTimeout: defaulted(
    `${D}_INBOUND_HTTP1_CONNECTION_POOL_IDLE_TIMEOUT`,
    DURATION,
    "3s",
    "When an idle HTTP/1 connection to the application is closed.",
  ),
  outboundPoolIdleTimeout: defaulted(
    `${D}_OUTBOUND_HTTP1_CONNECTION_POOL_IDLE_TIMEOUT`,
    DURATION,
    "3s",
    "When an idle HTTP/1 connection to a peer is closed.",
  ),
  http2StreamWindow: defaulted(
    `${D}_HTTP2_INITIAL_STREAM_WINDOW_SIZE`,
    UINT32,
    "65535",
    "Receive window of a stream of our HTTP/2 clients, in bytes.",
  ),
  http2ConnectionWindow: defaulted(
    `${D}_HTTP2_INITIAL_CONNECTION_WINDOW_SIZE`,
    UINT32,
    "1048576",
    "Receive window of a connection of our HTTP/2 clients, in bytes.",
  ),
};

const LIMITS = {
  inboundDetectTimeout: defaulted(
    `${D}_INBOUND_DETECT_TIMEOUT`,
    DURATION,
    "10s",
    "How long the protocol of an inbound connection may stay unknown.",
  ),
  outboundDetectTimeout: defaulted(
    `${D}_OUTBOUND_DETECT_TIMEOUT`,
    DURATION,
    "10s",
    "How long the protocol of an outbound connection may stay unknown.",
  ),
  inboundHttpQueueCapacity: defaulted(
    `${D}_INBOUND_HTTP_QUEUE_CAPACITY`,
    SIZE,
    "10000",
    "Requests that may wait for the application.",
  ),
  inboundHttpFailfastTimeout: defaulted(
    `${D}_INBOUND_HTTP_FAILFAST_TIMEOUT`,
    DURATION,
    "1s",
    "How long they wait before requests fail at once.",
  ),
  outboundTcpQueueCapacity: defaulted(
    `${D}_OUTBOUND_TCP_QUEUE_CAPACITY`,
    SIZE,
    "10000",
    "Opaque connections that may wait for an endpoint.",
  ),
  outboundTcpFailfastTimeout: defaulted(
    `${D}_OUTBOUND_TCP_FAILFAST_TIMEOUT`,
    DURATION,
    "3s",
    "How long they wait before connections fail at once.",
  ),
  outboundHttpQueueCapacity: defaulted(
    `${D}_OUTBOUND_HTTP_QUEUE_CAPACITY`,
    SIZE,
    "10000",
    "Requests that may wait for an endpoint.",
  ),
  outboundHttpFailfastTimeout: defaulted(
    `${D}_OUTBOUND_HTTP_FAILFAST_TIMEOUT`,
    DURATION,
    "3s",
    "How long they wait before requests fail at once.",
  ),
  inboundMaxInFlight: defaulted(
    `${D}_INBOUND_MAX_IN_FLIGHT`,
    SIZE,
    "100000",
    "Inbound requests under way before more are shed.",
  ),
  outboundMaxInFlight: defaulted(
    `${D}_OUTBOUND_MAX_IN_FLIGHT`,
    SIZE,
    "100000",
    "Outbound requests under way before more are shed.",
  ),
  inboundDiscoveryIdleTimeout: defaulted(
    `${D}_INBOUND_DISCOVERY_IDLE_TIMEOUT`,
    DURATION,
    "90s",
    "How long unused inbound policies and stacks are kept.",
  ),
  outboundDiscoveryIdleTimeout: defaulted(
    `${D}_OUTBOUND_DISCOVERY_IDLE_TIMEOUT`,
    DURATION,
    "5s",
    "How long unused outbound discoveries and stacks are kept.",
  ),
};

const DISCOVERY = {
  destinationContext: defaulted(
    `${D}_DESTINATION_CONTEXT`,
    TEXT,
    "",
    "Token sent with destination lookups, byte for byte.",
  ),
  profileSuffixes: defaulted(
    `${D}_DESTINATION_PROFILE_SUFFIXES`,
    DNS_SUFFIXES,
    "svc.cluster.local.",
    "Names that may be looked up.",
  ),
  profileNetworks: defaulted(
    `${D}_DESTINATION_PROFILE_NETWORKS`,
    NETWORKS,
    "",
    "Addresses that may be looked up.",
  ),
  profileInitialTimeout: defaulted(
    `${D}_DESTINATION_PROFILE_INITIAL_TIMEOUT`,
    DURATION,
    "500ms",
    "How long an inbound request waits for a profile.",
  ),
  policyWorkload: variable(
    `${D}_POLICY_WORKLOAD`,
    TEXT,
    "required",
    "Token sent with policy lookups, byte for byte.",
  ),
  clusterNetworks: defaulted(
    `${D}_POLICY_CLUSTER_NETWORKS`,
    NETWORKS,
    "",
    "What the cluster-* default policies mean by the cluster.",
  ),
  defaultPolicy: variable(
    `${D}_INBOUND_DEFAULT_POLICY`,
    oneOf([
      "deny",
      "all-authenticated",
      "all-unauthenticated",
      "cluster-authenticated",
      "cluster-unauthenticated",
      "audit",
    ]),
    "all-unauthenticated",
    "What a port does until the policy controller says more.",
  ),
  inboundPorts: defaulted(`${D}_INBOUND_PORTS`, PORT_RANGES, "", "Ports whose policy is watched from start."),
  inboundOpaquePorts: defaulted(
    `${D}_INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION`,
    PORT_RANGES,
    "",
    "Ports whose default policy is opaque.",
  ),
  inboundIps: variable(
    `${D}_INBOUND_IPS`,
    IP_SET,
    "all",
    "Our addresses: only they are accepted inbound, and outbound they are local.",
  ),
  gatewaySuffixes: defaulted(
    `${D}_INBOUND_GATEWAY_SUFFIXES`,
    DNS_SUFFIXES,
    "",
    "Names that the inbound gateway may reach.",
  ),
  ingressMode: defaulted(
    `${D}_INGRESS_MODE`,
    BOOL,
    "false",
    "Routes outbound requests by l5d-dst-override or authority.",
  ),
  streamInitialTimeout: defaulted(
    `${D}_CONTROL_STREAM_INITIAL_TIMEOUT`,
    DURATION_OR_NONE,
    "",
    "How long a controller may take for its first message.",
  ),
  streamIdleTimeout: defaulted(
    `${D}_CONTROL_STREAM_IDLE_TIMEOUT`,
    DURATION_OR_NONE,
    "",
    "How long a controller's stream may be silent.",
  ),
  streamLifetime: defaulted(
    `${D}_CONTROL_STREAM_LIFETIME`,
    DURATION_OR_NONE,
    "",
    "When a controller's stream is opened anew.",
  ),
  disableInformationalHeaders: variable(
    `${D}_OUTBOUND_DISABLE_INFORMATIONAL_HEADERS`,
    BOOL,
    "as ingress mode",
    "Leaves l5d-proxy-* headers out of our own outbound responses.",
  ),
};

const IDENTITY_VARIABLES = {
  trustAnchors: variable(
    `${D}_IDENTITY_TRUST_ANCHORS`,
    NON_EMPTY_TEXT,
    "required",
    "PEM text of the certificates that peers' identities must lead to.",
  ),
  localName: variable(
    `${D}_IDENTITY_LOCAL_NAME`,
    DNS_NAME,
    "none",
    "Our identity and server name; wins over the next two.",
  ),
  serverId: variable(
    `${D}_IDENTITY_SERVER_ID`,
    IDENTITY,
    "required without a local name",
    "Our identity; must equal the server name, except with SPIRE, where it is a spiffe URI.",
  ),
  serverName: variable(
    `${D}_IDENTITY_SERVER_NAME`,
    DNS_NAME,
    "required without a local name",
    "The name that peers ask for in their TLS hello.",
  ),
  dir: variable(
    `${D}_IDENTITY_DIR`,
    NON_EMPTY_TEXT,
    "required without SPIRE",
    "Existing directory for our key and certificate request (key.p8, csr.der).",
  ),
  tokenFile: variable(
    `${D}_IDENTITY_TOKEN_FILE`,
    NON_EMPTY_TEXT,
    "required without SPIRE",
    "File with the token that proves who we are to the identity service.",
  ),
  minRefresh: defaulted(
    `${D}_IDENTITY_MIN_REFRESH`,
    DURATION,
    "10s",
    "Shortest pause between certifications.",
  ),
  maxRefresh: defaulted(
    `${D}_IDENTITY_MAX_REFRESH`,
    DURATION,
    "24h",
    "Longest pause between certifications.",
  ),
  spireAddr: variable(
    `${D}_IDENTITY_SPIRE_WORKLOAD_API_ADDRESS`,
    SOCKET_PATH,
    "none",
    "Unix socket of a SPIRE agent: certificates then come from it, and the identity service is not asked.",
  ),
  spireSocket: variable(`${D}_IDENTITY_SPIRE_SOCKET`, SOCKET_PATH, "none", "Older name of the same."),
  identityDisabled: variable(
    `${D}_IDENTITY_DISABLED`,
    TEXT,
    "none",
    "Refused when set: identity cannot be switched off.",
  ),
};

const PROCESS = {
  shutdownEndpoint: defaulted(
    `${D}_SHUTDOWN_ENDPOINT_ENABLED`,
    BOOL,
    "false",
    "Whether POST /shutdown on the admin port ends the proxy.",
  ),
  shutdownGracePeriod: defaulted(
    `${D}_SHUTDOWN_GRACE_PERIOD`,
    DURATION,
    "2m",
    "How long work under way may take to end at shutdown.",
  ),
  metricsRetainIdle: defaulted(
    `${D}_METRICS_RETAIN_IDLE`,
    DURATION,
    "10m",
    "How long metrics of what is gone are kept.",
  ),
  authorityLabels: defaulted(
    `${D}_INBOUND_METRICS_AUTHORITY_LABELS`,
    UNSAFE,
    "",
    "Shows authorities, which clients choose, in inbound metrics.",
  ),
  hostnameLabels: defaulted(
    `${D}_OUTBOUND_METRICS_HOSTNAME_LABELS`,
    BOOL,
    "false",
    "Shows request hosts in outbound route metrics.",
  ),
  dnsMinTtl: variable(
    `${D}_DNS_MIN_TTL`,
    DURATION,
    "none",
    "Shortest time before controllers' names are resolved again.",
  ),
  dnsMaxTtl: variable(
    `${D}_DNS_MAX_TTL`,
    DURATION,
    "none",
    "Longest time before controllers' names are resolved again.",
  ),
  log: defaulted(
    `${D}_LOG`,
    TEXT,
    "warn,linkerd=info,hickory=error",
    "Which events are logged, by target, span and field; off for none.",
  ),
  logFormat: defaulted(
    `${D}_LOG_FORMAT`,
    TEXT,
    "plain",
    "json for one JSON object a line; anything else is plain.",
  ),
  accessLog: variable(
    `${D}_ACCESS_LOG`,
    TEXT,
    "off",
    "apache or json: one line on stderr per inbound request.",
  ),
};

const TRACING = {
  traceServiceName: variable(`${D}_TRACE_SERVICE_NAME`, TEXT, "none", "Attribute service.name of spans."),
  traceAttributesPath: variable(
    `${D}_TRACE_ATTRIBUTES_PATH`,
    TEXT,
    "none",
    "File of attributes of spans, one key=value a line.",
  ),
  traceExtraAttributes: variable(
    `${D}_TRACE_EXTRA_ATTRIBUTES`,
    TEXT,
    "none",
    "More attributes of spans, one key=value a line.",
  ),
  otelResourceAttributes: variable(
    "OTEL_RESOURCE_ATTRIBUTES",
    TEXT,
    "none",
    "More attributes of spans: lines, or a list with commas.",
  ),
  hostName: variable("HOSTNAME", TEXT, "none", "Attribute host.name of spans."),
};

const OURS = {
  forward: defaulted(
    "OUTRIGGER_FORWARD",
    FORWARDS,
    "",
    "Listeners that lead to one name each, for hosts without interception.",
  ),
  origDst: defaulted(
    "OUTRIGGER_ORIG_DST",
    oneOf(["auto", "so_original_dst", "local"]),
    "auto",
    "Where connections meant to go: asked of the kernel, or taken to be the address they reached; auto asks where it can.",
  ),
  allowLoopback: defaulted(
    "OUTRIGGER_ALLOW_LOOPBACK",
    BOOL,
    "false",
    "Peers live on loopback, as on laptops and in tests: outbound traffic may go there, inbound nobody is let in just for coming from there.",
  ),
  stripL5dHeaders: defaulted(
    "OUTRIGGER_INBOUND_STRIP_L5D_HEADERS",
    BOOL,
    "false",
    "Whether every l5d-* header of a client without mesh identity is removed, and not only those that proxies tell each other.",
  ),
  anyHost: defaulted(
    "OUTRIGGER_INBOUND_ANY_HOST",
    BOOL,
    "false",
    "Whether inbound requests with several, malformed or differing hosts are passed on, as the stock proxy does; policy may then judge another host than the application serves.",
  ),
  dialAheadAfter: defaulted(
    "OUTRIGGER_DIAL_AHEAD_AFTER",
    DURATION_OR_NONE,
    "20ms",
    "How long an outbound client is silent before its server is dialled, to see whether it speaks first; set but empty for never.",
  ),
  debugBuffers: defaulted(
    "OUTRIGGER_DEBUG_BUFFERS",
    BOOL,
    "false",
    "Overwrites every buffer as soon as it is freed, so that a use after that is a wrong byte at once. For tests and diagnosis.",
  ),
};

/** Every variable that the proxy reads, by group. The only place where their names are spelled. */
export const VARIABLES = {
  ...LISTENERS,
  ...CONNECTING,
  ...LIMITS,
  ...DISCOVERY,
  ...IDENTITY_VARIABLES,
  ...PROCESS,
  ...TRACING,
  ...OURS,
  destinationService: controller(`${D}_DESTINATION_SVC`, "the destination controller"),
  policyService: controller(`${D}_POLICY_SVC`, "the policy controller"),
  identityService: controller(`${D}_IDENTITY_SVC`, "the identity service"),
  traceCollector: controller(
    `${D}_TRACE_COLLECTOR_SVC`,
    "the OTLP collector that is told of spans",
    "no traces",
  ),
  inboundBackoff: backoff(`${D}_INBOUND_CONNECT`, "10s", "Reconnecting to the application"),
  outboundBackoff: backoff(`${D}_OUTBOUND_CONNECT`, "60s", "Reconnecting to peers and controllers"),
  spireBackoff: backoff(`${D}_IDENTITY_SPIRE`, "1s", "Asking a SPIRE agent again"),
  spireBackoffTwice: backoff(`${D}_${D}_IDENTITY_SPIRE`, "1s", "The same under the model's own spelling"),
  inboundHttp2Server: http2Server("INBOUND"),
  outboundHttp2Server: http2Server("OUTBOUND"),
};

/** Names that the stock injector may set and that have no effect here: each earns a warning at start. */
export const WITHOUT_EFFECT = new Map([
  [`${D}_INBOUND_PORTS_REQUIRE_IDENTITY`, "the policy controller decides who needs an identity"],
  [`${D}_INBOUND_PORTS_REQUIRE_TLS`, "the policy controller decides who needs TLS"],
]);

type TableEntry = Variable<unknown>;

/** The groups of the table that operators read. */
const GROUPS: readonly (readonly [string, readonly TableEntry[]])[] = [
  ["Listeners", Object.values(LISTENERS)],
  [
    "Connecting",
    [
      ...Object.values(CONNECTING),
      ...Object.values(VARIABLES.inboundBackoff),
      ...Object.values(VARIABLES.outboundBackoff),
    ],
  ],
  [
    "HTTP/2 servers",
    [...Object.values(VARIABLES.inboundHttp2Server), ...Object.values(VARIABLES.outboundHttp2Server)],
  ],
  ["Detection, queues, limits", Object.values(LIMITS)],
  [
    "Discovery and policy",
    [
      ...Object.values(VARIABLES.destinationService),
      ...Object.values(VARIABLES.policyService),
      ...Object.values(DISCOVERY),
    ],
  ],
  [
    "Identity",
    [
      ...Object.values(VARIABLES.identityService),
      ...Object.values(IDENTITY_VARIABLES),
      ...Object.values(VARIABLES.spireBackoff),
      ...Object.values(VARIABLES.spireBackoffTwice),
    ],
  ],
  ["Admin, shutdown, metrics, logs", Object.values(PROCESS)],
  ["Tracing", [...Object.values(VARIABLES.traceCollector), ...Object.values(TRACING)]],
  ["Outrigger's own", Object.values(OURS)],
];

/** The table of all variables in Markdown, as `variables.md` beside this file holds it. */
export function generateEnvTable(): string {
  const parts = GROUPS.map(([title, entries]) => {
    const rows = entries.map(
      (v) => `| \`${v.name}\` | ${v.grammar.expected} | ${defaultCell(v)} | ${v.sentence} |`,
    );
    return `### ${title}\n\n| name | value | default | meaning |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n`;
  });
  return parts.join("\n");
}

function defaultCell(v: TableEntry & { readonly defaultText?: string }): string {
  if (v.defaultText === undefined) return v.unset;
  return v.defaultText === "" ? "empty" : `\`${v.defaultText}\``;
}
