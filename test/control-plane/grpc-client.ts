import { once } from "node:events";
import {
  Client,
  credentials,
  type ChannelCredentials,
  type ClientReadableStream,
  type ServiceError,
} from "@grpc/grpc-js";
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { formatSocketAddr, type SocketAddr } from "../../src/addr/socket-addr.ts";
import { grpcMethod, type TypedMethod } from "../../src/proto/grpc-service.ts";

/** How long a test waits for a message before it fails. */
const PATIENCE_MS = 5000;

/** A real gRPC client of the control plane. */
export class TestClient {
  readonly #client: Client;

  constructor(addr: SocketAddr, channel: ChannelCredentials = credentials.createInsecure(), options = {}) {
    this.#client = new Client(formatSocketAddr(addr), channel, options);
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: TypedMethod<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    const { path, requestSerialize, responseDeserialize } = grpcMethod(method);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        create(method.input, request),
        { deadline: Date.now() + PATIENCE_MS },
        (error, response) => {
          if (error !== null) reject(error);
          else if (response === undefined) reject(new Error("neither error nor response"));
          else resolve(response);
        },
      );
    });
  }

  stream<I extends DescMessage, O extends DescMessage>(
    method: TypedMethod<I, O>,
    request: MessageInitShape<I>,
  ): TestStream<MessageShape<O>> {
    const { path, requestSerialize, responseDeserialize } = grpcMethod(method);
    const call = this.#client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      create(method.input, request),
    );
    return new TestStream(call);
  }

  close(): void {
    this.#client.close();
  }
}

/** A server stream, read one message at a time. */
export class TestStream<M> {
  readonly #call: ClientReadableStream<M>;
  readonly #messages: M[] = [];
  /** Undefined while the stream is open; 0 for an end with OK. */
  #status: number | undefined;
  #wake: () => void = () => {};

  constructor(call: ClientReadableStream<M>) {
    this.#call = call;
    call.on("data", (message: M) => {
      this.#messages.push(message);
      this.#wake();
    });
    // Errors arrive as status too.
    call.on("error", () => {});
    call.on("status", ({ code }) => {
      this.#status = code;
      this.#wake();
    });
  }

  /** Messages that have arrived and were not taken. */
  get waiting(): number {
    return this.#messages.length;
  }

  async next(): Promise<M> {
    await this.#until(() => this.#messages.length > 0);
    const message = this.#messages.shift();
    if (message === undefined) throw new Error(`the stream ended with status ${this.#status}`);
    return message;
  }

  /** The gRPC status with which the stream ends. */
  async status(): Promise<number> {
    await this.#until(() => this.#status !== undefined);
    return this.#status ?? -1;
  }

  cancel(): void {
    this.#call.cancel();
  }

  async #until(condition: () => boolean): Promise<void> {
    const patience = AbortSignal.timeout(PATIENCE_MS);
    while (!condition()) {
      if (this.#status !== undefined) return;
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      await Promise.race([
        woken.promise,
        once(patience, "abort").then(() => Promise.reject(new Error("nothing came in time"))),
      ]);
    }
  }
}

/** The code of a failed unary call. */
export async function codeOf(call: Promise<unknown>): Promise<number> {
  try {
    await call;
    return 0;
  } catch (error) {
    // grpc-js rejects with nothing else.
    return (error as ServiceError).code;
  }
}
