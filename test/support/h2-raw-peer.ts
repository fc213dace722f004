import type { ByteHandler } from "../../src/transport/transport.ts";
import { BlockResult, HpackDecoder } from "../../src/wire/hpack/decoder.ts";
import { h2CodeName } from "../../src/wire/http2/error-code.ts";
import { CLIENT_PREFACE, FrameFlag, FrameType } from "../../src/wire/http2/frame.ts";
import type { HeaderField } from "../../src/wire/header-field.ts";
import type { MemoryPair, MemoryTransport } from "./memory-transport.ts";

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

const TYPE_NAMES = [
  "DATA",
  "HEADERS",
  "PRIORITY",
  "RST_STREAM",
  "SETTINGS",
  "PUSH_PROMISE",
  "PING",
  "GOAWAY",
  "WINDOW_UPDATE",
  "CONTINUATION",
];

export type Pairs = readonly (readonly [name: string, value: string])[];

const FRAME_MAX = 16_384;

/** Speaks HTTP/2 frame by frame, right or wrong, at one end of a pair of memory transports. */
export class RawPeer implements ByteHandler {
  readonly frames: Frame[] = [];
  ended = false;
  closed = false;
  readonly #transport: MemoryTransport;
  readonly #pair: MemoryPair;
  readonly #decoder = new HpackDecoder(4096);
  readonly #isClient: boolean;
  /** Header blocks can be decoded only once. */
  readonly #described = new Map<Frame, string>();
  #rest = Buffer.alloc(0);
  #prefaceLeft: number;

  constructor(pair: MemoryPair, transport: MemoryTransport, role: "client" | "server") {
    this.#pair = pair;
    this.#transport = transport;
    this.#isClient = role === "client";
    this.#prefaceLeft = this.#isClient ? 0 : CLIENT_PREFACE.length;
    transport.attach(this);
  }

  /** Preface, SETTINGS and the acknowledgement of the other side's; forgets what came in answer. */
  shakeHands(settings: readonly number[] = []): void {
    if (this.#isClient) this.raw(CLIENT_PREFACE);
    this.settings(settings);
    this.send(FrameType.settings, FrameFlag.ack, 0);
    this.settle();
    this.frames.length = 0;
  }

  raw(bytes: Buffer): void {
    this.#transport.write(bytes, 0, bytes.length);
  }

  settle(): void {
    this.#pair.settle();
  }

  send(type: number, flags: number, id: number, payload: Buffer = Buffer.alloc(0)): void {
    this.raw(frameBytes(type, flags, id, payload));
  }

  settings(settings: readonly number[]): void {
    const payload = Buffer.alloc(settings.length * 3);
    for (let i = 0; i < settings.length; i += 2) {
      payload.writeUInt16BE(settings[i] ?? 0, i * 3);
      payload.writeUInt32BE(settings[i + 1] ?? 0, i * 3 + 2);
    }
    this.send(FrameType.settings, 0, 0, payload);
  }

  headers(id: number, list: Pairs, endStream: boolean): void {
    const bytes = block(list);
    const end = endStream ? FrameFlag.endStream : 0;
    const whole = bytes.length <= FRAME_MAX;
    this.send(FrameType.headers, (whole ? FrameFlag.endHeaders : 0) | end, id, bytes.subarray(0, FRAME_MAX));
    for (let at = FRAME_MAX; at < bytes.length; at += FRAME_MAX) {
      const last = at + FRAME_MAX >= bytes.length ? FrameFlag.endHeaders : 0;
      this.send(FrameType.continuation, last, id, bytes.subarray(at, at + FRAME_MAX));
    }
  }

  /** A GET, or a POST without its end. */
  request(id: number, endStream = true, ...more: Pairs): void {
    this.headers(id, [[":method", endStream ? "GET" : "POST"], ...REST_OF_REQUEST, ...more], endStream);
  }

  data(id: number, text: string | Buffer, endStream: boolean): void {
    this.send(FrameType.data, endStream ? FrameFlag.endStream : 0, id, Buffer.from(text));
  }

  rst(id: number, code: number): void {
    this.send(FrameType.rstStream, 0, id, uint32(code));
  }

  windowUpdate(id: number, increment: number): void {
    this.send(FrameType.windowUpdate, 0, id, uint32(increment));
  }

  goaway(lastId: number, code: number): void {
    this.send(FrameType.goaway, 0, 0, Buffer.concat([uint32(lastId), uint32(code)]));
  }

  ping(): void {
    this.send(FrameType.ping, 0, 0, Buffer.from("12345678"));
  }

  /** What came, in words: `HEADERS 1 :status=200 END`, `RST_STREAM 3 CANCEL`, `GOAWAY 5 NO_ERROR`, `DATA 1 5`. */
  get heard(): string[] {
    return this.frames.map((frame) => this.#describe(frame));
  }

  of(type: number): Frame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** Sum of the content of all DATA frames of a stream. */
  dataBytes(id: number): number {
    return this.of(FrameType.data)
      .filter((frame) => frame.id === id)
      .reduce((sum, frame) => sum + frame.payload.length, 0);
  }

  #describe(frame: Frame): string {
    let text = this.#described.get(frame);
    if (text === undefined) {
      text = this.#words(frame);
      this.#described.set(frame, text);
    }
    return text;
  }

  #words({ type, flags, id, payload }: Frame): string {
    const end = flags & FrameFlag.endStream ? " END" : "";
    switch (type) {
      case FrameType.headers: {
        const fields: HeaderField[] = [];
        const limits = { bytes: 1 << 20, abuseBytes: 1 << 20, fields: 10_000 };
        const result = this.#decoder.decode(payload, 0, payload.length, fields, limits);
        if (result !== BlockResult.ok) throw new Error(`bad header block: ${this.#decoder.problem}`);
        return `HEADERS ${id} ${fields.map((f) => `${f.name.text}=${f.value}`).join(" ")}${end}`;
      }
      case FrameType.data:
        return `DATA ${id} ${payload.length}${end}`;
      case FrameType.rstStream:
        return `RST_STREAM ${id} ${h2CodeName(payload.readUInt32BE(0))}`;
      case FrameType.goaway:
        return `GOAWAY ${payload.readUInt32BE(0)} ${h2CodeName(payload.readUInt32BE(4))}`;
      case FrameType.windowUpdate:
        return `WINDOW_UPDATE ${id} ${payload.readUInt32BE(0)}`;
      case FrameType.settings:
      case FrameType.ping:
        return `${TYPE_NAMES[type]}${flags & FrameFlag.ack ? " ACK" : ""}`;
      default:
        return `${TYPE_NAMES[type] ?? type} ${id}`;
    }
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    let bytes = Buffer.concat([this.#rest, buffer.subarray(start, end)]);
    if (this.#prefaceLeft > 0) {
      if (bytes.length < this.#prefaceLeft) {
        this.#rest = bytes;
        return;
      }
      if (CLIENT_PREFACE.compare(bytes, 0, this.#prefaceLeft) !== 0) throw new Error("bad preface");
      bytes = bytes.subarray(this.#prefaceLeft);
      this.#prefaceLeft = 0;
    }
    while (bytes.length >= 9) {
      const length = bytes.readUIntBE(0, 3);
      if (bytes.length < 9 + length) break;
      this.frames.push({
        type: bytes.readUInt8(3),
        flags: bytes.readUInt8(4),
        id: bytes.readUInt32BE(5),
        payload: Buffer.from(bytes.subarray(9, 9 + length)),
      });
      bytes = bytes.subarray(9 + length);
    }
    this.#rest = Buffer.from(bytes);
  }

  onEnd(): void {
    this.ended = true;
  }

  onDrain(): void {}

  onClose(): void {
    this.closed = true;
  }
}

/** All but the method of the base request. */
export const REST_OF_REQUEST: Pairs = [
  [":scheme", "http"],
  [":path", "/a"],
  [":authority", "h.test"],
];

export function frameBytes(type: number, flags: number, id: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(id, 5);
  return Buffer.concat([header, payload]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A header block of literals without indexing and without Huffman, so that any byte can be sent. */
export function block(list: Pairs, form = 0): Buffer {
  return Buffer.concat(list.flatMap(([name, value]) => [Buffer.of(form), string(name), string(value)]));
}

function string(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  const prefix = [bytes.length < 127 ? bytes.length : 127];
  if (bytes.length >= 127) {
    let rest = bytes.length - 127;
    while (rest >= 128) {
      prefix.push((rest & 127) | 128);
      rest >>>= 7;
    }
    prefix.push(rest);
  }
  return Buffer.concat([Buffer.from(prefix), bytes]);
}
