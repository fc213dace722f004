/** Bulk transfers over each protocol: content goes one way, and its length comes back. */
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect as connectTcp } from "node:net";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { Metadata, type StatusObject } from "@grpc/grpc-js";
import { BYTES_METADATA, DOWNLOAD_METHOD, UPLOAD_METHOD, type Ports } from "./application.ts";
import { grpcChannel, grpcStream, http2Connect, type GrpcDuplex } from "./clients.ts";
import { readContent, writeContent, type BytesPerSecond } from "./transfer.ts";

export interface Transfers {
  /** Writes content to the application. @returns how much of it arrived there, unchanged. */
  upload(ports: Ports, bytes: number): Promise<number>;
  /** Reads content from the application. @returns how much of it arrived here, unchanged. */
  download(ports: Ports, bytes: number, rate: BytesPerSecond): Promise<number>;
}

export type TransferProtocol = "HTTP/1" | "HTTP/2" | "gRPC" | "TCP";

const http1: Transfers = {
  async upload({ http1: port }, bytes) {
    const request = httpRequest({ host: "127.0.0.1", port, path: "/upload", method: "POST", agent: false });
    const answer = once(request, "response").then(([response]) => text(response as Readable));
    await Promise.race([writeContent(request, bytes), answer]);
    request.end();
    return Number(await answer);
  },
  async download({ http1: port }, bytes, rate) {
    const request = httpRequest({ host: "127.0.0.1", port, path: `/download?${bytes}`, agent: false }).end();
    const [response] = (await once(request, "response")) as [Readable];
    return readContent(response, rate);
  },
};

const http2: Transfers = {
  async upload({ http2: port }, bytes) {
    const session = await http2Connect(port);
    try {
      const stream = session.request({ ":path": "/upload", ":method": "POST" });
      await writeContent(stream, bytes);
      stream.end();
      return Number(await text(stream));
    } finally {
      session.destroy();
    }
  },
  async download({ http2: port }, bytes, rate) {
    const session = await http2Connect(port);
    try {
      return await readContent(session.request({ ":path": `/download?${bytes}` }), rate);
    } finally {
      session.destroy();
    }
  },
};

async function overGrpc<T>(
  port: number,
  method: string,
  metadata: Metadata,
  use: (call: GrpcDuplex) => Promise<T>,
): Promise<T> {
  const channel = grpcChannel(port);
  try {
    const call = grpcStream(channel, method, metadata);
    const status = new Promise<StatusObject>((resolve) => call.once("status", resolve));
    // Reading fails with the same.
    call.on("error", () => {});
    const result = await use(call);
    const { code, details } = await status;
    if (code !== 0) throw new Error(`${method}: status ${code}: ${details}`);
    return result;
  } finally {
    channel.close();
  }
}

const grpc: Transfers = {
  upload: ({ grpc: port }, bytes) =>
    overGrpc(port, UPLOAD_METHOD, new Metadata(), async (call) => {
      await writeContent(call, bytes);
      call.end();
      const [message] = (await once(call, "data")) as [Buffer];
      return Number(message.toString());
    }),
  download({ grpc: port }, bytes, rate) {
    const metadata = new Metadata();
    metadata.set(BYTES_METADATA, String(bytes));
    return overGrpc(port, DOWNLOAD_METHOD, metadata, (call) => {
      call.end();
      return readContent(call, rate);
    });
  },
};

const tcp: Transfers = {
  async upload({ tcp: port }, bytes) {
    const socket = connectTcp({ host: "127.0.0.1", port, allowHalfOpen: true });
    socket.write("upload\n");
    await writeContent(socket, bytes);
    socket.end();
    return Number(await text(socket));
  },
  async download({ tcp: port }, bytes, rate) {
    const socket = connectTcp({ host: "127.0.0.1", port, allowHalfOpen: true });
    socket.write(`download ${bytes}\n`);
    const read = await readContent(socket, rate);
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
