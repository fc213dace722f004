/** Bulk transfers over each protocol: content goes one way, and its length comes back. */
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect as connectTcp } from "node:net";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { status, type StatusObject } from "@grpc/grpc-js";
import { DOWNLOAD_METHOD, UPLOAD_METHOD, type Ports } from "./application.ts";
import { grpcChannel, grpcStream, http2Connect, type GrpcDuplex } from "./clients.ts";
import type { Transfer } from "./transfer.ts";

export interface Transfers {
  /** Writes content to the application. @returns how much of it arrived there, unchanged. */
  upload(ports: Ports, transfer: Transfer): Promise<number>;
  /** Reads content from the application. @returns how much of it arrived here, unchanged. */
  download(ports: Ports, transfer: Transfer): Promise<number>;
}

export type TransferProtocol = "HTTP/1" | "HTTP/2" | "gRPC" | "TCP";

const http1: Transfers = {
  async upload({ http1: port }, transfer) {
    const request = httpRequest({ host: "127.0.0.1", port, path: "/upload", method: "POST", agent: false });
    const answer = once(request, "response").then(([response]) => text(response as Readable));
    await Promise.race([transfer.write(request), answer]);
    request.end();
    return Number(await answer);
  },
  async download({ http1: port }, transfer) {
    const request = httpRequest({ host: "127.0.0.1", port, path: "/download", agent: false }).end();
    const [response] = (await once(request, "response")) as [Readable];
    return transfer.read(response);
  },
};

const http2: Transfers = {
  async upload({ http2: port }, transfer) {
    const session = await http2Connect(port);
    try {
      const stream = session.request({ ":path": "/upload", ":method": "POST" });
      await transfer.write(stream);
      stream.end();
      return Number(await text(stream));
    } finally {
      session.destroy();
    }
  },
  async download({ http2: port }, transfer) {
    const session = await http2Connect(port);
    try {
      return await transfer.read(session.request({ ":path": "/download" }));
    } finally {
      session.destroy();
    }
  },
};

async function overGrpc<T>(port: number, method: string, use: (call: GrpcDuplex) => Promise<T>): Promise<T> {
  const channel = grpcChannel(port);
  try {
    const call = grpcStream(channel, method);
    const ended = new Promise<StatusObject>((resolve) => call.once("status", resolve));
    // Reading fails with the same.
    call.on("error", () => {});
    const result = await use(call);
    const { code, details } = await ended;
    if (code !== status.OK) throw new Error(`${method}: status ${code}: ${details}`);
    return result;
  } finally {
    channel.close();
  }
}

const grpc: Transfers = {
  upload: ({ grpc: port }, transfer) =>
    overGrpc(port, UPLOAD_METHOD, async (call) => {
      await transfer.write(call);
      call.end();
      const [message] = (await once(call, "data")) as [Buffer];
      return Number(message.toString());
    }),
  download({ grpc: port }, transfer) {
    return overGrpc(port, DOWNLOAD_METHOD, (call) => {
      call.end();
      return transfer.read(call);
    });
  },
};

const tcp: Transfers = {
  async upload({ tcp: port }, transfer) {
    const socket = connectTcp({ host: "127.0.0.1", port, allowHalfOpen: true });
    socket.write("upload\n");
    await transfer.write(socket);
    socket.end();
    return Number(await text(socket));
  },
  async download({ tcp: port }, transfer) {
    const socket = connectTcp({ host: "127.0.0.1", port, allowHalfOpen: true });
    socket.write("download\n");
    const read = await transfer.read(socket);
    socket.end();
    return read;
  },
};

export const TRANSFERS: ReadonlyMap<TransferProtocol, Transfers> = new Map([
  ["HTTP/1", http1],
  ["HTTP/2", http2],
  ["gRPC", grpc],
  ["TCP", tcp],
]);
