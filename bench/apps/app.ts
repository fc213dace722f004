/**
 * The application behind the proxies: answers every request with 1 KiB. On our own engine, so that it is never the
 * bottleneck. Prints its ports as JSON: one speaks HTTP/1, the other HTTP/2 in clear text.
 */
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import { DiscardSink, ResponseHead, statusField, type HttpService } from "../../src/http/message.ts";
import { H1Server } from "../../src/http/server/h1.ts";
import { H2Server } from "../../src/http/server/h2.ts";
import { systemClock as clock } from "../../src/time/clock.ts";
import { listen, type AcceptedSocket } from "../../src/transport/listen.ts";
import { probeReadMode } from "../../src/transport/shared-reads.ts";
import { headerName, internField } from "../../src/wire/header-field.ts";

const BODY = Buffer.alloc(1024, "x");
const CONTENT_LENGTH = internField(headerName("content-length"), String(BODY.length));
const CONTENT_TYPE = internField(headerName("content-type"), "text/plain");

const service: HttpService = {
  call(head, _last, response) {
    response.head(
      new ResponseHead(head.version, 200, statusField(200), [CONTENT_TYPE, CONTENT_LENGTH]),
      false,
    );
    response.data(BODY, 0, BODY.length, true);
    return new DiscardSink(response);
  },
};

async function serve(onConnection: (accepted: AcceptedSocket) => void): Promise<number> {
  const addr = parseSocketAddr("127.0.0.1:0");
  if (!addr.ok) throw new Error(addr.problem);
  const listener = await listen([addr.value], {
    backlog: undefined,
    keepAliveMs: undefined,
    userTimeoutMs: undefined,
    acceptNow: true,
    onError: (error) => console.error(error),
    onConnection,
  });
  return listener.addrs[0]?.port ?? 0;
}

await probeReadMode();
const http1 = await serve((accepted) => {
  const transport = accepted.transport();
  transport.attach(new H1Server(transport, service, { clock }));
});
const http2 = await serve((accepted) => void new H2Server(accepted.transport(), service, { clock }));
console.log(JSON.stringify({ http1, http2 }));
