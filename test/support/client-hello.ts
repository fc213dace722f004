/** TLS ClientHellos, made by hand or by this runtime. */
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { connect as tlsConnect, type ConnectionOptions } from "node:tls";
import { parseClientHello } from "../../src/wire/client-hello.ts";

export function u16(value: number): number[] {
  return [value >> 8, value & 0xff];
}

function vector8(bytes: readonly number[]): number[] {
  return [bytes.length, ...bytes];
}

export function vector16(bytes: readonly number[]): number[] {
  return [...u16(bytes.length), ...bytes];
}

function ascii(text: string): number[] {
  return [...Buffer.from(text, "latin1")];
}

export function extension(type: number, data: readonly number[]): number[] {
  return [...u16(type), ...vector16(data)];
}

export function serverName(host: string, nameType = 0): number[] {
  return extension(0, vector16([nameType, ...vector16(ascii(host))]));
}

export function alpn(...protocols: string[]): number[] {
  return extension(16, vector16(protocols.flatMap((p) => vector8(ascii(p)))));
}

export interface HelloParts {
  readonly extensions?: readonly number[] | undefined;
  readonly minor?: number;
  readonly legacyVersion?: readonly number[];
  /** Bytes between the end of the handshake message and that of the record. */
  readonly after?: readonly number[];
  readonly handshakeLength?: number;
}

export function hello(parts: HelloParts): Buffer {
  const body = [
    ...(parts.legacyVersion ?? [3, 3]),
    ...Array<number>(32).fill(0xaa),
    ...vector8(Array<number>(32).fill(0xbb)),
    ...vector16([0x13, 0x01, 0x13, 0x02]),
    ...vector8([0]),
    ...(parts.extensions === undefined ? [] : vector16(parts.extensions)),
  ];
  const length = parts.handshakeLength ?? body.length;
  const message = [1, length >> 16, ...u16(length & 0xffff), ...body, ...(parts.after ?? [])];
  return Buffer.from([0x16, 3, parts.minor ?? 1, ...vector16(message)]);
}

/** The first flight of this runtime's TLS client. */
export async function realHello(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A TCP server's address is never a string.
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, "connection");
  const client = tlsConnect({ ...options, port, host: "127.0.0.1" });
  client.on("error", () => {});
  const [socket] = await accepted;
  const chunks: Buffer[] = [];
  for await (const chunk of socket) {
    chunks.push(chunk);
    if (parseClientHello(Buffer.concat(chunks)) !== undefined) break;
  }
  client.destroy();
  server.close();
  return Buffer.concat(chunks);
}
