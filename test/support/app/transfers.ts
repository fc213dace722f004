/** Bulk transfers over each protocol: content goes one way and its length comes back, or the content itself does. */
import { once } from "node:events";
import {
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import type { ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { Metadata, status, type StatusObject } from "@grpc/grpc-js";
import { DOWNLOAD_METHOD, ECHO_METHOD, TRANSFER_METADATA, UPLOAD_METHOD, type Ports } from "./application.ts";
import { grpcStream, type GrpcDuplex } from "./clients.ts";
import { OWN_CONNECTIONS, type Connections } from "./connections.ts";
import type { Transfer } from "./transfer.ts";

export interface Transfers {
  /** Writes content to the application. @returns how much of it arrived there, unchanged. */
  upload(ports: Ports, transfer: Transfer, connections?: Connections): Promise<number>;
  /** Reads content from the application. @returns how much of it arrived here, unchanged. */
  download(ports: Ports, transfer: Transfer, connections?: Connections): Promise<number>;
  /** Writes content to the application, which sends it back meanwhile. @returns how much of it came back, unchanged. */
  echo(ports: Ports, transfer: Transfer, connections?: Connections): Promise<number>;
}

export type TransferProtocol = "HTTP/1" | "HTTP/2" | "gRPC" | "TCP";

/** Writes and reads at once. Whichever fails first ends it, so that the other is not waited for. */
async function bothWays(transfer: Transfer, stream: Readable & Writable): Promise<number> {
  const read = transfer.read(stream);
  const write = transfer.write(stream).then(() => void stream.end());
  const [arrived] = await Promise.all([read, write]);
  return arrived;
}

function http1Request(port: number, connections: Connections, options: RequestOptions): ClientRequest {
  // Whoever waits for the response, or for room to write, is told of errors too.
  return httpRequest({ host: "127.0.0.1", port, agent: connections.http1, ...options }).on("error", () => {});
}

async function http1Response(request: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await once(request, "response")) as [IncomingMessage];
  await expectOk(response, response.statusCode);
  return response;
}

const http1: Transfers = {
  async upload({ http1: port }, transfer, connections = OWN_CONNECTIONS) {
    const request = http1Request(port, connections, { path: `/upload?${transfer.id}`, method: "POST" });
    const answer = http1Response(request).then(text);
    await Promise.race([transfer.write(request), answer]);
    request.end();
    return Number(await answer);
  },
  async download({ http1: port }, transfer, connections = OWN_CONNECTIONS) {
    const request = http1Request(port, connections, { path: `/download?${transfer.id}` }).end();
    return transfer.read(await http1Response(request));
  },
  async echo({ http1: port }, transfer, connections = OWN_CONNECTIONS) {
    const request = http1Request(port, connections, { path: "/echo", method: "POST" });
    const read = http1Response(request).then((response) => transfer.read(response));
    const write = transfer.write(request).then(() => void request.end());
    const [arrived] = await Promise.all([read, write]);
    return arrived;
  },
};

async function overHttp2<T>(
  port: number,
  connections: Connections,
  path: string,
  use: (stream: ClientHttp2Stream) => Promise<T>,
): Promise<T> {
  const session = await connections.http2(port);
  try {
    const method = path.startsWith("/download") ? "GET" : "POST";
    const stream = session.request({ ":path": path, ":method": method }).on("error", () => {});
    const answered = once(stream, "response").then(([headers]) =>
      expectOk(stream, Number((headers as IncomingHttpHeaders)[":status"])),
    );
    const [result] = await Promise.all([use(stream), answered]);
    return result;
  } finally {
    connections.giveBack(session);
  }
}

const http2: Transfers = {
  upload: ({ http2: port }, transfer, connections = OWN_CONNECTIONS) =>
    overHttp2(port, connections, `/upload?${transfer.id}`, async (stream) => {
      await transfer.write(stream);
      stream.end();
      return Number(await text(stream));
    }),
  download: ({ http2: port }, transfer, connections = OWN_CONNECTIONS) =>
    overHttp2(port, connections, `/download?${transfer.id}`, (stream) => transfer.read(stream)),
  echo: ({ http2: port }, transfer, connections = OWN_CONNECTIONS) =>
    overHttp2(port, connections, "/echo", (stream) => bothWays(transfer, stream)),
};

async function overGrpc<T>(
  port: number,
  connections: Connections,
  method: string,
  transfer: Transfer,
  use: (call: GrpcDuplex) => Promise<T>,
): Promise<T> {
  const channel = connections.grpc(port);
  try {
    const metadata = new Metadata();
    metadata.set(TRANSFER_METADATA, transfer.id);
    const call = grpcStream(channel, method, metadata);
    const ended = new Promise<StatusObject>((resolve) => call.once("status", resolve));
    // Reading fails with the same.
    call.on("error", () => {});
    const result = await use(call);
    const { code, details } = await ended;
    if (code !== status.OK) throw new Error(`${method}: status ${code}: ${details}`);
    return result;
  } finally {
    connections.giveBack(channel);
  }
}

const grpc: Transfers = {
  upload: ({ grpc: port }, transfer, connections = OWN_CONNECTIONS) =>
    overGrpc(port, connections, UPLOAD_METHOD, transfer, async (call) => {
      await transfer.write(call);
      call.end();
      const [message] = (await once(call, "data")) as [Buffer];
      return Number(message.toString());
    }),
  download: ({ grpc: port }, transfer, connections = OWN_CONNECTIONS) =>
    overGrpc(port, connections, DOWNLOAD_METHOD, transfer, (call) => {
      call.end();
      return transfer.read(call);
    }),
  echo: ({ grpc: port }, transfer, connections = OWN_CONNECTIONS) =>
    overGrpc(port, connections, ECHO_METHOD, transfer, (call) => bothWays(transfer, call)),
};

async function overTcp<T>(port: number, command: string, use: (socket: Socket) => Promise<T>): Promise<T> {
  const socket = connectTcp({ host: "127.0.0.1", port, allowHalfOpen: true }).on("error", () => {});
  socket.write(`${command}\n`);
  return use(socket).finally(() => socket.destroySoon());
}

const tcp: Transfers = {
  upload: ({ tcp: port }, transfer) =>
    overTcp(port, `upload ${transfer.id}`, async (socket) => {
      await transfer.write(socket);
      socket.end();
      return Number(await text(socket));
    }),
  download: ({ tcp: port }, transfer) =>
    overTcp(port, `download ${transfer.id}`, (socket) => transfer.read(socket)),
  echo: ({ tcp: port }, transfer) => overTcp(port, "echo", (socket) => bothWays(transfer, socket)),
};

/** @throws Error with what the answer says instead, so that a refusal is not taken for wrong content. */
async function expectOk(answer: Readable, found: number | undefined): Promise<void> {
  if (found !== 200) throw new Error(`status ${found}: ${await text(answer)}`);
}

export const TRANSFERS: ReadonlyMap<TransferProtocol, Transfers> = new Map([
  ["HTTP/1", http1],
  ["HTTP/2", http2],
  ["gRPC", grpc],
  ["TCP", tcp],
]);
