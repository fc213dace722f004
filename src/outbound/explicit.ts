import { parseAddr } from "../addr/name-addr.ts";
import { formatSocketAddr } from "../addr/socket-addr.ts";
import { detectHttp } from "../detect/detect-http.ts";
import { errorFromNode } from "../errors/from-node.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import {
  DiscardSink,
  ResponseHead,
  statusField,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../http/message.ts";
import { PendingExchange } from "../http/pending-exchange.ts";
import { outboundAcceptedLabels } from "../metrics/labels.ts";
import { parsed, unparsed, type Parsed } from "../parsed.ts";
import type { AcceptedSocket } from "../transport/listen.ts";
import { connectTunnel } from "./connect-tunnel.ts";
import type { OutboundContext } from "./context.ts";
import { HeldTargets } from "./held-targets.ts";
import { serveHttp } from "./http/server.ts";
import { formatTarget, type Target } from "./target.ts";

/**
 * Explicit proxying: a connection that an application made to the outbound port itself. Each request tells its target,
 * by an absolute-form request line, by CONNECT, or by the authority of an HTTP/2 request, and is then treated as if a
 * redirected connection to that target had carried it.
 */
export async function serveExplicit(context: OutboundContext, accepted: AcceptedSocket): Promise<void> {
  const transport = accepted.transport();
  context.transportMetrics.track(transport, outboundAcceptedLabels(accepted.localAddr));
  const found = await detectHttp(transport, context.clock, context.options.detectTimeoutMs);
  if (found.kind === "closed") throw found.error ?? new ProxyError("canceled", "closed by the application");
  if (found.kind !== "http1" && found.kind !== "http2") {
    const port = formatSocketAddr(accepted.localAddr);
    throw new ProxyError("unexpected", `a connection to ${port} was neither redirected nor a proxy request`);
  }
  const service = new ExplicitService(context);
  serveHttp(
    context,
    {
      client: accepted.peerAddr,
      transport,
      prefix: found.prefix,
      version: found.kind === "http1" ? 1 : 2,
      // A request that names no target has none.
      defaultAuthority: undefined,
      onClose: () => service.close(),
    },
    service,
  );
}

class ExplicitService implements HttpService {
  readonly #context: OutboundContext;
  readonly #targets: HeldTargets;

  constructor(context: OutboundContext) {
    this.#context = context;
    this.#targets = new HeldTargets(context.targets);
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const isConnect = head.method.value === "CONNECT";
    const target = targetOf(head, isConnect);
    if (!target.ok) return refuse(response, head, target.problem);
    // The absolute form was meant for us, a proxy; the server is asked as servers are (RFC 9112 section 3.2.1).
    head.absoluteForm = false;
    const stack = this.#targets.get(target.value);
    const pending = new PendingExchange(head, last, response);
    stack.discovered.then(
      (discovered) => {
        const service = isConnect
          ? connectTunnel(this.#context, stack, discovered)
          : stack.http(head.version === 20 ? 2 : 1, discovered);
        pending.start(service);
      },
      (thrown: unknown) => {
        this.#targets.forget(stack);
        pending.fail(errorFromNode(thrown, formatTarget(target.value)));
      },
    );
    return pending;
  }

  close(): void {
    this.#targets.close();
  }
}

/** The port of `http` where the request names none. */
const HTTP_PORT = 80;

function targetOf(head: RequestHead, isConnect: boolean): Parsed<Target> {
  if (head.version !== 20 && !isConnect && !head.absoluteForm) {
    return unparsed("this is a proxy port: ask for http://NAME/PATH, or use CONNECT");
  }
  if (!isConnect && head.scheme !== undefined && head.scheme.value !== "http") {
    return unparsed(`scheme ${head.scheme.value} is not proxied: use CONNECT`);
  }
  const authority = head.authority?.value ?? "";
  const addr = parseAddr(authority, isConnect ? undefined : HTTP_PORT);
  if (!addr.ok) return addr;
  const { value } = addr;
  if (value.kind === "socket") return parsed({ kind: "addr", addr: value.socket });
  return parsed({ kind: "name", name: value.name });
}

function refuse(response: ResponseSink, head: RequestHead, problem: string): Sink {
  const text = Buffer.from(`${problem}\n`);
  response.head(new ResponseHead(head.version, 400, statusField(400), []), false);
  response.data(text, 0, text.length, true);
  return new DiscardSink(response);
}
