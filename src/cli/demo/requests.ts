import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { systemClock, wallMs } from "../../time/clock.ts";
import {
  BIDI_METHOD,
  SEEN_CLIENT_ID,
  UNARY_METHOD,
  type Answer,
  type RequestName,
  type RequestTarget,
  type SeenRequest,
} from "./contract.ts";
import { acceptKey, CLOSE_FRAME, encodeFrame, FrameReader, TEXT_FRAME } from "./web-socket.ts";

/** How long one request may take before it counts as unanswered. */
const REQUEST_TIMEOUT_MS = 5_000;

type Outcome = Omit<Answer, "protocol" | "latencyMs">;
type Send = (target: RequestTarget, signal: AbortSignal) => Promise<Outcome>;

/** Sends one request on a connection of its own. Never rejects: whatever happens is the answer. */
export async function send(protocol: RequestName, target: RequestTarget): Promise<Answer> {
  const timeout = new AbortController();
  const timer = systemClock.after(REQUEST_TIMEOUT_MS, () =>
    timeout.abort(new Error(`no answer within ${REQUEST_TIMEOUT_MS / 1000}s`)),
  );
  const startedAtMs = systemClock.nowMs();
  const outcome = await SENDERS[protocol](target, timeout.signal).catch((thrown: unknown): Outcome => {
    const error = timeout.signal.aborted ? timeout.signal.reason : thrown;
    return { ...NO_ANSWER, error: error instanceof Error ? error.message : String(error) };
  });
  timer.cancel();
  return { protocol, ...outcome, latencyMs: systemClock.nowMs() - startedAtMs };
}

const NO_ANSWER: Outcome = {
  status: "error",
  echoed: false,
  clientId: null,
  httpVersion: null,
  error: null,
};

const SENDERS: Readonly<Record<RequestName, Send>> = {
  "http/1": (target, signal) => http1(target, "/hello", signal),
  // The absolute form of a request line is what `curl -x` sends to a proxy.
  "http/1-proxied": (target, signal) => http1(target, `http://${target.authority}/hello`, signal),
  "http/2": http2,
  "grpc-unary": grpcUnary,
  "grpc-stream": grpcStream,
  websocket: webSocket,
  tcp,
};

const LOOPBACK = "127.0.0.1";
const HELLO = Buffer.from("hello, outrigger\n");

async function http1(target: RequestTarget, path: string, signal: AbortSignal): Promise<Outcome> {
  const request = httpRequest({ ...requestOptions(target, signal), path });
  request.end();
  // `once` hands on what Node's documentation names for the event.
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return httpOutcome(response.statusCode ?? 0, await text(response));
}

function requestOptions({ port, authority }: RequestTarget, signal: AbortSignal): RequestOptions {
  return { host: LOOPBACK, port, headers: { host: authority }, agent: false, signal };
}

function httpOutcome(status: number, body: string): Outcome {
  if (status !== 200) return { ...NO_ANSWER, status };
  // The server of this folder answers so; anything else fails here, and that is the answer.
  const { clientId, httpVersion, path } = JSON.parse(body) as SeenRequest;
  return { status, echoed: path === "/hello", clientId, httpVersion, error: null };
}

async function http2({ port, authority }: RequestTarget, signal: AbortSignal): Promise<Outcome> {
  const session = connectHttp2(`http://${LOOPBACK}:${port}`);
  const failed = new Promise<never>((_, reject) => {
    session.on("error", reject);
    signal.addEventListener("abort", () => session.destroy(new Error("timeout")), { once: true });
  });
  const exchange = async (): Promise<Outcome> => {
    const stream = session.request({ ":authority": authority, ":path": "/hello" });
    // As above: the headers of the response.
    const [headers] = (await once(stream, "response")) as [{ readonly ":status"?: number }];
    return httpOutcome(headers[":status"] ?? 0, await text(stream));
  };
  try {
    return await Promise.race([exchange(), failed]);
  } finally {
    session.destroy();
  }
}

const sameBytes = (bytes: Buffer): Buffer => bytes;

function grpcClient({ port, authority }: RequestTarget): Client {
  return new Client(`${LOOPBACK}:${port}`, credentials.createInsecure(), {
    "grpc.default_authority": authority,
    "grpc.enable_http_proxy": 0,
    "grpc.use_local_subchannel_pool": 1,
  });
}

function grpcOutcome(error: ServiceError | null, echoed: boolean, initial: Metadata | undefined): Outcome {
  const [seen] = initial?.get(SEEN_CLIENT_ID) ?? [];
  const clientId = seen === undefined ? null : seen.toString();
  const status = error?.code ?? 0;
  return { status, echoed, clientId, httpVersion: null, error: error?.details ?? null };
}

function grpcUnary(target: RequestTarget): Promise<Outcome> {
  const client = grpcClient(target);
  return new Promise<Outcome>((resolve) => {
    let initial: Metadata | undefined;
    const deadline = wallMs() + REQUEST_TIMEOUT_MS;
    const call = client.makeUnaryRequest(
      UNARY_METHOD,
      sameBytes,
      sameBytes,
      HELLO,
      new Metadata(),
      { deadline },
      (error, reply) => resolve(grpcOutcome(error, reply?.equals(HELLO) ?? false, initial)),
    );
    call.on("metadata", (metadata: Metadata) => (initial = metadata));
  }).finally(() => client.close());
}

/** Messages of the streaming call. Each is sent only after the one before it came back: both ways are open at once. */
const STREAM_MESSAGES = 3;

function grpcStream(target: RequestTarget): Promise<Outcome> {
  const client = grpcClient(target);
  return new Promise<Outcome>((resolve) => {
    let initial: Metadata | undefined;
    let cameBack = 0;
    const deadline = wallMs() + REQUEST_TIMEOUT_MS;
    const call = client.makeBidiStreamRequest(BIDI_METHOD, sameBytes, sameBytes, new Metadata(), {
      deadline,
    });
    const finish = (error: ServiceError | null): void =>
      resolve(grpcOutcome(error, cameBack === STREAM_MESSAGES, initial));
    call.on("metadata", (metadata: Metadata) => (initial = metadata));
    call.on("error", finish);
    call.on("data", (message: Buffer) => {
      if (message.equals(HELLO)) cameBack++;
      if (cameBack < STREAM_MESSAGES) call.write(HELLO);
      else call.end();
    });
    call.on("end", () => finish(null));
    call.write(HELLO);
  }).finally(() => client.close());
}

async function webSocket(target: RequestTarget, signal: AbortSignal): Promise<Outcome> {
  const key = randomBytes(16).toString("base64");
  const options = requestOptions(target, signal);
  const request = httpRequest({
    ...options,
    path: "/socket",
    headers: {
      host: target.authority,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": key,
    },
  });
  request.end();
  const refused = once(request, "response", { signal });
  const upgraded = once(request, "upgrade", { signal });
  // As above: response and, for an upgrade, the socket and what came with the head.
  const [response, socket, head] = (await Promise.race([refused, upgraded])) as [
    IncomingMessage,
    Duplex | undefined,
    Buffer | undefined,
  ];
  const status = response.statusCode ?? 0;
  if (socket === undefined) {
    response.resume();
    return { ...NO_ANSWER, status };
  }
  try {
    if (response.headers["sec-websocket-accept"] !== acceptKey(key)) {
      return { ...NO_ANSWER, error: "the handshake's answer is for another key" };
    }
    const echoed = await frameComesBack(socket, head ?? Buffer.alloc(0), signal);
    const clientId = response.headers[SEEN_CLIENT_ID];
    return {
      status,
      echoed,
      clientId: typeof clientId === "string" && clientId !== "" ? clientId : null,
      httpVersion: response.httpVersion,
      error: null,
    };
  } finally {
    socket.destroy();
  }
}

function frameComesBack(socket: Duplex, head: Buffer, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const reader = new FrameReader();
    let echoed = false;
    const onBytes = (bytes: Buffer): void => {
      try {
        for (const { opcode, payload } of reader.push(bytes)) {
          if (opcode === TEXT_FRAME) echoed = payload.equals(HELLO);
          if (opcode === CLOSE_FRAME) resolve(echoed);
        }
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    };
    socket.on("data", onBytes);
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("closed before the frames came back")));
    signal.addEventListener("abort", () => socket.destroy(), { once: true });
    onBytes(head);
    socket.write(encodeFrame(TEXT_FRAME, HELLO, randomBytes(4)));
    socket.write(encodeFrame(CLOSE_FRAME, Buffer.alloc(0), randomBytes(4)));
  });
}

/** Bytes that are no HTTP. A connection that ends without an answer was refused: that is all that TCP can say. */
function tcp({ port }: RequestTarget, signal: AbortSignal): Promise<Outcome> {
  return new Promise<Outcome>((resolve) => {
    const socket = connectTcp({ host: LOOPBACK, port, signal });
    let received: Buffer = Buffer.alloc(0);
    const finish = (status: string, error: string | null): void => {
      socket.destroy();
      resolve({ ...NO_ANSWER, status, echoed: status === "echoed", error });
    };
    socket.on("connect", () => socket.write(HELLO));
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < HELLO.length) return;
      if (received.equals(HELLO)) finish("echoed", null);
      else finish("error", "other bytes came back than were sent");
    });
    socket.on("end", () => finish("refused", null));
    socket.on("error", (error) => {
      if (signal.aborted) finish("error", "no answer in time");
      else finish("refused", error.message);
    });
  });
}
