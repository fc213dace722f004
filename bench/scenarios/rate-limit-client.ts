import { once } from "node:events";
import { connect, type ClientHttp2Session } from "node:http2";
import { Pool } from "undici";
import { ECHO_METHOD } from "../../test/support/app/application.ts";
import { LIMIT_RPS, type Protocol } from "./rate-limit-result.ts";

/** What became of a request. */
export type Outcome =
  | { readonly kind: "admitted" }
  | { readonly kind: "refused" }
  | { readonly kind: "wrong"; readonly answer: string };

/** A client of one protocol on connections that stay. */
export interface LimitedClient {
  send(): Promise<Outcome>;
  close(): Promise<void>;
}

/** @param port of a forward of the client's proxy. */
export async function limitedClient(protocol: Protocol, port: number): Promise<LimitedClient> {
  if (protocol === "HTTP/1") return new Http1Client(port);
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  await once(session, "connect");
  return new Http2Client(session, protocol === "gRPC");
}

const HTTP1_CONNECTIONS = 16;
const REFUSAL = new RegExp(`per-identity rate limit exceeded: ${LIMIT_RPS}rps$`);

type Headers = Readonly<Record<string, string | string[] | number | undefined>>;

/** No time after which to come back; and what one proxy tells the other stays between them. */
function isRefusal(headers: Headers): boolean {
  return headers["retry-after"] === undefined && headers["l5d-proxy-error"] === undefined;
}

function wrong(status: number, headers: Headers): Outcome {
  return { kind: "wrong", answer: `status ${status}: ${JSON.stringify(headers)}` };
}

class Http1Client implements LimitedClient {
  readonly #pool: Pool;

  constructor(port: number) {
    this.#pool = new Pool(`http://127.0.0.1:${port}`, { connections: HTTP1_CONNECTIONS });
  }

  async send(): Promise<Outcome> {
    const { statusCode, headers, body } = await this.#pool.request({ path: "/", method: "GET" });
    await body.dump();
    if (statusCode === 200) return { kind: "admitted" };
    const kept = headers["connection"] !== "close";
    if (statusCode === 429 && kept && isRefusal(headers)) return { kind: "refused" };
    return wrong(statusCode, headers);
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

class Http2Client implements LimitedClient {
  readonly #session: ClientHttp2Session;
  readonly #isGrpc: boolean;

  constructor(session: ClientHttp2Session, isGrpc: boolean) {
    this.#session = session;
    this.#isGrpc = isGrpc;
  }

  async send(): Promise<Outcome> {
    const stream = this.#session.request(
      this.#isGrpc
        ? { ":method": "POST", ":path": ECHO_METHOD, "content-type": "application/grpc", te: "trailers" }
        : { ":path": "/" },
    );
    stream.end();
    let trailers: Headers = {};
    stream.once("trailers", (fields: Headers) => (trailers = fields));
    const [headers] = (await once(stream, "response")) as [Headers];
    stream.resume();
    await once(stream, "close");
    const status = Number(headers[":status"]);
    if (!this.#isGrpc) {
      if (status === 200) return { kind: "admitted" };
      return status === 429 && isRefusal(headers) ? { kind: "refused" } : wrong(status, headers);
    }
    const code = headers["grpc-status"] ?? trailers["grpc-status"];
    if (status === 200 && code === "0") return { kind: "admitted" };
    const told = REFUSAL.test(String(headers["grpc-message"])) && isRefusal(headers);
    return status === 200 && code === "8" && told
      ? { kind: "refused" }
      : wrong(status, { ...headers, ...trailers });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#session.close(resolve);
      this.#session.destroy();
    });
  }
}
