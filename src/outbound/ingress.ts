import { parseAddr } from "../addr/name-addr.ts";
import type { SocketAddr } from "../addr/socket-addr.ts";
import { detectHttp } from "../detect/detect-http.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { L5D_DST_OVERRIDE } from "../headers.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../http/message.ts";
import { authorityOf, normalizeAuthority } from "../http/normalize-authority.ts";
import { outboundAcceptedLabels } from "../metrics/labels.ts";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import { metaDefault } from "../policy/meta.ts";
import type { AcceptedSocket } from "../transport/listen.ts";
import { whenClosed } from "../transport/when-closed.ts";
import { H2Code } from "../wire/http2/error-code.ts";
import { findField, headerName, removeFields } from "../wire/header-field.ts";
import type { OutboundContext } from "./context.ts";
import { dialAheadFor, speaksFirst } from "./dial-ahead-for.ts";
import { HeldTargets } from "./held-targets.ts";
import { serveHttp } from "./http/server.ts";
import { sendWhenDiscovered, type DiscoveryRules } from "./send-when-discovered.ts";
import { countDetection, serveOpaque } from "./serve-detected.ts";
import { defaultAuthority, type Target } from "./target.ts";
import { waitForDiscovery } from "./wait-for-discovery.ts";

/** What connections of an ingress are counted under before any of their requests has told its target. */
const INGRESS = metaDefault("ingress");

/**
 * Ingress mode: each request tells its target by `l5d-dst-override`; those that do not go where the connection went.
 * Every connection is looked at, whatever a policy may say about its port, and what is not HTTP goes where it went too.
 *
 * @throws ProxyError why the connection is to be closed.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/ingress.rs.
 */
export async function serveIngress(
  context: OutboundContext,
  accepted: AcceptedSocket,
  origDst: SocketAddr,
): Promise<void> {
  const { clock, options, transportMetrics } = context;
  const transport = accepted.transport();
  transportMetrics.track(transport, outboundAcceptedLabels(origDst));
  const original: Target = { kind: "addr", addr: origDst };
  const targets = new HeldTargets(context.targets);
  whenClosed(transport.socket, () => targets.close());
  const ahead = dialAheadFor(context, transport, original, INGRESS, async () => {
    const stack = targets.get(original);
    return stack.opaque(await stack.discovered).route().route;
  });
  try {
    const startedAtMs = clock.nowMs();
    const found = await detectHttp(transport, clock, options.detectTimeoutMs, speaksFirst(ahead));
    countDetection(context, INGRESS, original, found.kind, startedAtMs);
    switch (found.kind) {
      case "http1":
      case "http2":
        return serveHttp(
          context,
          {
            client: accepted.peerAddr,
            transport,
            prefix: found.prefix,
            version: found.kind === "http1" ? 1 : 2,
            authorityByService: true,
            defaultAuthority: undefined,
            onClose: () => {},
          },
          new IngressService(targets, original),
        );
      case "timeout":
      case "not_http":
      case "stopped": {
        const stack = targets.get(original);
        const { discovered, prefix } = await waitForDiscovery(stack, transport, clock);
        const bytes = prefix.length === 0 ? found.prefix : Buffer.concat([found.prefix, prefix]);
        return await serveOpaque(context, stack, discovered, transport, bytes, ahead);
      }
      case "closed":
        throw found.error ?? new ProxyError("canceled", "closed by the application before it said anything");
      default:
        return found satisfies never;
    }
  } finally {
    ahead?.drop();
  }
}

/** Sends each request of a connection to the target that it names. */
class IngressService implements HttpService {
  readonly #targets: HeldTargets;
  readonly #original: Target;

  constructor(targets: HeldTargets, original: Target) {
    this.#targets = targets;
    this.#original = original;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const target = takeOverride(head);
    if (target?.ok === false) return refuse(response, target.problem);
    return sendWhenDiscovered(this.#targets, target?.value ?? this.#original, RULES, head, last, response);
  }
}

const RULES: DiscoveryRules = {
  // As outside of ingress mode: whoever asked gives up when it has had enough.
  discover: (stack) => stack.discovered,
  undiscovered: (error) => unanswered(error.message),
  unrouted: (target) => unanswered(`${defaultAuthority(target)}: ingress mode needs a policy about HTTP`),
  prepare: (head, stack) => {
    if (normalizeAuthority(head, undefined)) return;
    normalizeAuthority(head, authorityOf(stack.http1Authority ?? defaultAuthority(stack.target)));
  },
};

const DST_OVERRIDE = headerName(L5D_DST_OVERRIDE);

/** The port of an override that names none. */
const HTTP_PORT = 80;

/**
 * Takes the override out of a request: undefined if it has none.
 *
 * @returns a problem for anything but a DNS name with or without a port: to guess would be to send the request elsewhere.
 */
export function takeOverride(head: RequestHead): Parsed<Target> | undefined {
  const { fields } = head;
  const override = findField(fields, DST_OVERRIDE);
  if (override === undefined) return undefined;
  removeFields(fields, DST_OVERRIDE);
  const addr = parseAddr(override.value, HTTP_PORT);
  if (!addr.ok || addr.value.kind !== "name" || addr.value.name.port === 0) {
    return unparsed(`${L5D_DST_OVERRIDE} is not a valid host:port`);
  }
  return parsed({ kind: "name", name: addr.value.name });
}

function refuse(response: ResponseSink, problem: string): Sink {
  response.reset(unanswered(problem));
  return new DiscardSink(response);
}

/** An error that gets no response: HTTP/2 sees RST_STREAM with INTERNAL_ERROR, HTTP/1 a closed connection. */
function unanswered(problem: string): ProxyError {
  return new ProxyError("h2_reset", problem, { h2Code: H2Code.internalError, side: "proxy" });
}
