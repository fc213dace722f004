/** The application behind a sidecar of the scenarios, on Node's own stacks: what its users would run, not our engine. */
import { once } from "node:events";
import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import { createServer as createTcp, type Server as NetServer, type Socket } from "node:net";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Server as GrpcServer, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import type { Transfer } from "./transfer.ts";

/** Ports of the application, and of the forwards that lead to it. */
export interface Ports {
  readonly http1: number;
  readonly http2: number;
  readonly grpc: number;
  readonly tcp: number;
}

/**
 * The window of an HTTP/2 connection that many transfers share. Node's own of 64 KiB is the window of a single stream: one
 * reader that pauses would hold it all, and everybody else up.
 */
export const SHARED_WINDOW_BYTES = 16 * 1024 * 1024;

/** Methods of the gRPC service: bidirectional streams of raw bytes. */
export const ECHO_METHOD = "/scenario.Transfer/Echo";
export const UPLOAD_METHOD = "/scenario.Transfer/Upload";
export const DOWNLOAD_METHOD = "/scenario.Transfer/Download";
export const TRANSFER_METADATA = "transfer";

/**
 * HTTP: `GET /` answers "hello"; `GET /wait` waits for `openGate()`, and `GET /gate` does after its first byte; `POST /echo` sends
 * everything back, `POST /upload?ID` reads the content of that transfer and tells its length, `GET /download?ID` answers with it. TCP: the
 * first line is `echo`, `upload ID` or `download ID`. gRPC: the metadata `transfer` is the ID.
 */
export class Application {
  /** Requests that wait for the gate. */
  waiting = 0;
  /** Why uploads and downloads failed, so that a test can tell. */
  readonly problems: string[] = [];
  readonly ports: Ports;
  readonly #stop: () => Promise<void>;
  readonly #expected = new Map<string, Transfer>();
  #gate = Promise.withResolvers<void>();

  private constructor(ports: Ports, stop: () => Promise<void>) {
    this.ports = ports;
    this.#stop = stop;
  }

  static async start(): Promise<Application> {
    const sockets = new Set<Socket>();
    const sessions = new Set<ServerHttp2Session>();
    // The servers need the application, which needs their ports.
    const started = Promise.withResolvers<Application>();
    const onRequest = (request: Incoming, response: Outgoing): void =>
      void started.promise.then((application) => application.#answer(request, response));
    const http1 = createHttp1({ keepAliveTimeout: 60_000 }, onRequest);
    const http2 = createHttp2(onRequest).on("session", (session) => {
      sessions.add(session);
      // All that a proxy carries for its clients comes over one connection.
      session.setLocalWindowSize(SHARED_WINDOW_BYTES);
      session.on("error", () => {}).once("close", () => sessions.delete(session));
    });
    // A client that has sent its upload still waits for the answer.
    const tcp = createTcp({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on("error", () => socket.destroy()).once("close", () => sockets.delete(socket));
      void started.promise.then((application) => application.#talk(socket));
    });
    const grpc = grpcServer(started.promise);
    const ports = {
      http1: await listen(http1),
      http2: await listen(http2),
      grpc: await grpc.listening,
      tcp: await listen(tcp),
    };
    const stop = async (): Promise<void> => {
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
      http1.closeAllConnections();
      grpc.server.forceShutdown();
      await Promise.all([http1, http2, tcp].map((server) => new Promise((resolve) => server.close(resolve))));
    };
    const application = new Application(ports, stop);
    started.resolve(application);
    return application;
  }

  /** To be called before an upload or download is asked for; each is served once. */
  expect(transfer: Transfer): void {
    this.#expected.set(transfer.id, transfer);
  }

  /** Lets the requests for `/gate` end that are waiting. */
  openGate(): void {
    this.#gate.resolve();
    this.#gate = Promise.withResolvers();
  }

  close(): Promise<void> {
    this.openGate();
    return this.#stop();
  }

  async #answer(request: Incoming, response: Outgoing): Promise<void> {
    const [path = "", id = ""] = (request.url ?? "").split("?");
    try {
      if (path === "/upload") {
        response.end(String(await this.#claim(id).read(request)));
      } else if (path === "/download") {
        const transfer = this.#claim(id);
        response.setHeader("content-length", transfer.bytes);
        await transfer.write(response);
        response.end();
      } else if (path === "/echo") {
        await pipeline(request, response);
      } else if (path === "/gate") {
        request.resume();
        // Writable both; only the union of their overloads cannot be called.
        (response as Writable).write("a");
        await this.#opened();
        response.end("b");
      } else {
        request.resume();
        if (path === "/wait") await this.#opened();
        response.end("hello");
      }
    } catch (error) {
      this.#failed(request.url ?? "", error);
      request.destroy();
    }
  }

  /** What is asked for a second time is a request that was delivered twice. */
  #claim(id: string): Transfer {
    const transfer = this.#expected.get(id);
    if (transfer === undefined) throw new Error(`no transfer ${id} is expected, or not once more`);
    this.#expected.delete(id);
    return transfer;
  }

  async #opened(): Promise<void> {
    this.waiting++;
    await this.#gate.promise;
    this.waiting--;
  }

  /** @internal for the gRPC server, which is made before the application. */
  async serveStream(call: GrpcCall): Promise<void> {
    const id = String(call.metadata.get(TRANSFER_METADATA)[0]);
    try {
      switch (call.getPath()) {
        case UPLOAD_METHOD:
          call.write(Buffer.from(String(await this.#claim(id).read(call))));
          break;
        case DOWNLOAD_METHOD:
          call.resume();
          await this.#claim(id).write(call);
          break;
        default:
          for await (const message of call.iterator({ destroyOnReturn: false }))
            if (!call.write(message)) await once(call, "drain");
      }
      call.end();
    } catch (error) {
      this.#failed(call.getPath(), error);
      call.destroy();
    }
  }

  async #talk(socket: Socket): Promise<void> {
    try {
      const [command, id = ""] = (await firstLine(socket)).split(" ");
      if (command === "upload") {
        socket.end(String(await this.#claim(id).read(socket)));
      } else if (command === "download") {
        await this.#claim(id).write(socket);
        socket.end();
      } else if (command === "echo") {
        socket.pipe(socket);
      } else {
        throw new Error(`unknown command ${JSON.stringify(command)}`);
      }
    } catch (error) {
      this.#failed("tcp", error);
      socket.destroy();
    }
  }

  #failed(what: string, error: unknown): void {
    this.problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

type Incoming = IncomingMessage | Http2ServerRequest;
type Outgoing = ServerResponse | Http2ServerResponse;
type GrpcCall = ServerDuplexStream<Buffer, Buffer>;

const sameBytes = (bytes: Buffer): Buffer => bytes;

function grpcServer(application: Promise<Application>) {
  const server = new GrpcServer();
  const handler = (call: GrpcCall): void => void application.then((a) => a.serveStream(call));
  const method = (path: string) => ({
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: sameBytes,
    requestDeserialize: sameBytes,
    responseSerialize: sameBytes,
    responseDeserialize: sameBytes,
  });
  server.addService(
    { echo: method(ECHO_METHOD), upload: method(UPLOAD_METHOD), download: method(DOWNLOAD_METHOD) },
    { echo: handler, upload: handler, download: handler },
  );
  const listening = new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
  return { server, listening };
}

async function listen(server: NetServer): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** The first line of a connection; what follows it stays to be read. */
async function firstLine(socket: Socket): Promise<string> {
  let text = "";
  while (!text.includes("\n")) {
    const piece: Buffer | null = socket.read();
    if (piece === null) {
      if (socket.readableEnded || socket.destroyed) throw new Error("ended before its first line");
      await once(socket, "readable");
      continue;
    }
    const end = piece.indexOf(0x0a);
    text += piece.toString("latin1", 0, end < 0 ? piece.length : end + 1);
    if (end >= 0 && end + 1 < piece.length) socket.unshift(piece.subarray(end + 1));
  }
  return text.trimEnd();
}
