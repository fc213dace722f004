import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { h2CodeName } from "../../src/wire/http2/error-code.ts";
import { CLIENT_PREFACE, FrameFlag, FrameType } from "../../src/wire/http2/frame.ts";
import { block, frameBytes, REST_OF_REQUEST, uint32, type Pairs } from "./h2-raw-peer.ts";

/** An HTTP/2 client over a real socket that sends any frames, and counts what comes rather than keeping it. */
export class RawH2Socket {
  readonly socket: Socket;
  /** Frames received, by type. */
  readonly received = new Map<number, number>();
  dataBytes = 0;
  /** Names of the codes of RST_STREAM frames, and how often each came. */
  readonly resets = new Map<string, number>();
  goaway: string | undefined = undefined;
  closed = false;
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {}).on("close", () => (this.closed = true));
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
  }

  /** Connects and sends preface and SETTINGS (identifiers and values in turn). */
  static async open(port: number, settings: readonly number[] = []): Promise<RawH2Socket> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return RawH2Socket.over(socket, settings);
  }

  /** The same over a connection that stands. */
  static over(socket: Socket, settings: readonly number[] = []): RawH2Socket {
    const peer = new RawH2Socket(socket);
    const payload = Buffer.alloc(settings.length * 3);
    for (let i = 0; i < settings.length; i += 2) {
      payload.writeUInt16BE(settings[i] ?? 0, i * 3);
      payload.writeUInt32BE(settings[i + 1] ?? 0, i * 3 + 2);
    }
    peer.write(
      CLIENT_PREFACE,
      frameBytes(FrameType.settings, 0, 0, payload),
      frameBytes(FrameType.settings, FrameFlag.ack, 0, Buffer.alloc(0)),
    );
    return peer;
  }

  /** In one segment, as far as the kernel lets it. */
  write(...frames: readonly Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames));
  }

  count(type: number): number {
    return this.received.get(type) ?? 0;
  }

  destroy(): void {
    this.socket.destroy();
  }

  #read(bytes: Buffer): void {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (rest.length >= 9) {
      const length = rest.readUIntBE(0, 3);
      if (rest.length < 9 + length) break;
      this.#frame(rest.readUInt8(3), rest.subarray(9, 9 + length));
      rest = rest.subarray(9 + length);
    }
    this.#rest = Buffer.from(rest);
  }

  #frame(type: number, payload: Buffer): void {
    this.received.set(type, this.count(type) + 1);
    if (type === FrameType.data) this.dataBytes += payload.length;
    if (type === FrameType.goaway) this.goaway = h2CodeName(payload.readUInt32BE(4));
    if (type !== FrameType.rstStream) return;
    const code = h2CodeName(payload.readUInt32BE(0));
    this.resets.set(code, (this.resets.get(code) ?? 0) + 1);
  }
}

/** The HEADERS frame of a request for `path`. */
export function requestFrame(id: number, path: string, endStream: boolean, ...more: Pairs): Buffer {
  const list: Pairs = [
    [":method", endStream ? "GET" : "POST"],
    ...REST_OF_REQUEST.map(([name, value]) => [name, name === ":path" ? path : value] as const),
    ...more,
  ];
  const flags = FrameFlag.endHeaders | (endStream ? FrameFlag.endStream : 0);
  return frameBytes(FrameType.headers, flags, id, block(list));
}

export function rstFrame(id: number, code: number): Buffer {
  return frameBytes(FrameType.rstStream, 0, id, uint32(code));
}

export function windowUpdateFrame(id: number, increment: number): Buffer {
  return frameBytes(FrameType.windowUpdate, 0, id, uint32(increment));
}
