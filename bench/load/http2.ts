/** HTTP/2 of the load process: what both of its ends share. On the product's codecs for header blocks and frames. */
import { headerName, internField, type HeaderField } from "../../src/wire/header-field.ts";
import { BlockResult, HpackDecoder } from "../../src/wire/hpack/decoder.ts";
import { HpackEncoder } from "../../src/wire/hpack/encoder.ts";
import {
  CLIENT_PREFACE,
  FRAME_HEADER_BYTES,
  FrameFlag,
  FrameType,
  readUint31,
  readUint32,
} from "../../src/wire/http2/frame.ts";
import {
  frameHeaderBlock,
  PING_BYTES,
  settingsBytes,
  WINDOW_UPDATE_BYTES,
  writeFrameHeader,
  writePing,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from "../../src/wire/http2/frame-writer.ts";
import { SettingId } from "../../src/wire/http2/settings.ts";
import { BODY, Connection } from "./connection.ts";
import { grpcBytes, grpcPrefix, writeMessages } from "./grpc-messages.ts";
import type { Poller } from "./poller.ts";

const TABLE_BYTES = 4096;
const FRAME_BYTES = 16_384;
const FIRST_WINDOW_BYTES = 65_535;
/** Windows that never hold a proxy back: those of the mesh's own clients. */
const STREAM_WINDOW_BYTES = 1 << 20;
const CONNECTION_WINDOW_BYTES = 1 << 24;
const STREAMS_MAX = 10_000;
/** Received bytes are given back in portions, as real peers do. */
const CONNECTION_CREDIT_BYTES = CONNECTION_WINDOW_BYTES / 16;
const STREAM_CREDIT_BYTES = STREAM_WINDOW_BYTES / 4;

const LIST_LIMITS = { bytes: 65_536, abuseBytes: 131_072, fields: 200 };

/** What is sent on a stream: so many bytes, as a gRPC message if it has a prefix. */
export interface Body {
  readonly bytes: number;
  readonly prefix: Buffer | undefined;
}

export function plainBody(bytes: number): Body {
  return { bytes, prefix: undefined };
}

export function messageBody(bytes: number): Body {
  return { bytes, prefix: grpcPrefix(bytes) };
}

/** A body that is on its way out. */
interface Outgoing {
  readonly id: number;
  readonly body: Body;
  /** Not written yet, prefixes included. */
  bytes: number;
  /** Where in its message the next byte belongs. */
  at: number;
  window: number;
  /** More messages may follow. */
  open: boolean;
  /** Sent after the body; none: the body ends the stream. */
  trailers: readonly HeaderField[] | undefined;
  /** Among those that have something to write. */
  queued: boolean;
}

export abstract class Http2Connection extends Connection {
  readonly #decoder = new HpackDecoder(TABLE_BYTES);
  readonly #encoder = new HpackEncoder(TABLE_BYTES);
  readonly #fields: HeaderField[] = [];
  /** What has something to write. */
  readonly #outgoing: Outgoing[] = [];
  /** Streams of messages, by id, until their last byte is written. */
  readonly #open = new Map<number, Outgoing>();
  #window = FIRST_WINDOW_BYTES;
  #streamWindow = FIRST_WINDOW_BYTES;
  #awaitsPreface: boolean;
  /**
   * Bytes of the DATA frame under way that have not come; its stream and flags. Padding counts as body: nobody pads, and
   * whoever does shows up with errors.
   */
  #missing = 0;
  #dataStream = 0;
  #dataEnds = false;
  #uncredited = 0;
  /** Bytes received and not given back, of streams that do not fit into their window at once. */
  readonly #streamUncredited = new Map<number, number>();

  constructor(poller: Poller, fd: number, end: "client" | "server") {
    super(poller, fd);
    this.#awaitsPreface = end === "server";
    const settings = [
      ...(end === "client" ? [SettingId.enablePush, 0] : [SettingId.maxConcurrentStreams, STREAMS_MAX]),
      ...[SettingId.initialWindowSize, STREAM_WINDOW_BYTES],
    ];
    if (end === "client") this.length += CLIENT_PREFACE.copy(this.output, this.length);
    this.room(settingsBytes(settings.length / 2) + WINDOW_UPDATE_BYTES);
    this.length = writeSettings(this.output, this.length, settings);
    this.length = writeWindowUpdate(
      this.output,
      this.length,
      0,
      CONNECTION_WINDOW_BYTES - FIRST_WINDOW_BYTES,
    );
  }

  protected abstract onHead(id: number, fields: readonly HeaderField[]): void;
  protected abstract onStreamEnd(id: number): void;
  protected abstract onStreamReset(id: number): void;
  protected onBody(_id: number, _buffer: Buffer, _start: number, _end: number): void {}

  /** @param body undefined: the head ends the stream. */
  protected send(
    id: number,
    fields: readonly HeaderField[],
    body?: Body,
    trailers?: readonly HeaderField[],
  ): void {
    const bytes = body === undefined ? 0 : bytesOf(body);
    const ends = body === undefined || (bytes === 0 && trailers === undefined);
    this.#writeHead(id, fields, ends);
    if (ends) return;
    const window = this.#streamWindow;
    this.#outgoing.push({ id, body, bytes, at: 0, window, open: false, trailers, queued: true });
    this.produce();
  }

  /** A stream of messages: after its head come as many as `writeMessage` is called for. */
  protected openStream(id: number, fields: readonly HeaderField[], message: Body): void {
    this.#writeHead(id, fields, false);
    const window = this.#streamWindow;
    const stream = {
      id,
      body: message,
      bytes: 0,
      at: 0,
      window,
      open: true,
      trailers: undefined,
      queued: false,
    };
    this.#open.set(id, stream);
  }

  /** @param last it ends the stream. Nothing happens on a stream that has ended already. */
  protected writeMessage(id: number, last: boolean): void {
    const stream = this.#open.get(id);
    if (stream === undefined) return;
    stream.bytes += bytesOf(stream.body);
    if (last) stream.open = false;
    this.#queue(stream);
  }

  /** Ends a stream of messages after those that were sent. */
  protected finishStream(id: number, trailers: readonly HeaderField[]): void {
    const stream = this.#open.get(id);
    if (stream === undefined) return;
    stream.open = false;
    stream.trailers = trailers;
    this.#queue(stream);
  }

  #queue(stream: Outgoing): void {
    if (!stream.queued) this.#outgoing.push(stream);
    stream.queued = true;
    this.produce();
  }

  #writeHead(id: number, fields: readonly HeaderField[], ends: boolean): void {
    let size = FRAME_HEADER_BYTES;
    for (const field of fields) size += field.size;
    this.room(size);
    let at = this.#encoder.begin(this.output, this.length + FRAME_HEADER_BYTES);
    for (const field of fields) at = this.#encoder.encode(this.output, at, field);
    this.length = frameHeaderBlock(this.output, this.length, at, id, ends, FRAME_BYTES);
  }

  protected produce(): void {
    let kept = 0;
    for (let i = 0; i < this.#outgoing.length; i++) {
      const stream = this.#outgoing[i];
      if (stream === undefined) continue;
      stream.queued = !this.#sendBody(stream);
      if (stream.queued) this.#outgoing[kept++] = stream;
      else if (!stream.open) this.#open.delete(stream.id);
    }
    this.#outgoing.length = kept;
  }

  /** @returns whether it is written, as far as it goes. */
  #sendBody(stream: Outgoing): boolean {
    while (stream.bytes > 0) {
      const bytes = Math.min(stream.bytes, FRAME_BYTES, this.#window, stream.window);
      if (bytes <= 0 || this.full) return false;
      stream.bytes -= bytes;
      stream.window -= bytes;
      this.#window -= bytes;
      const ends = stream.bytes === 0 && stream.trailers === undefined && !stream.open;
      this.length = writeFrameHeader(
        this.output,
        this.length,
        bytes,
        FrameType.data,
        ends ? FrameFlag.endStream : 0,
        stream.id,
      );
      const { body } = stream;
      if (body.prefix === undefined) BODY.copy(this.output, this.length, 0, bytes);
      else stream.at = writeMessages(this.output, this.length, bytes, body.prefix, body.bytes, stream.at);
      this.length += bytes;
    }
    if (stream.trailers !== undefined) this.#writeHead(stream.id, stream.trailers, true);
    return true;
  }

  protected consume(buffer: Buffer, start: number, end: number): number {
    let at = start;
    if (this.#awaitsPreface) {
      if (end - at < CLIENT_PREFACE.length) return at;
      at += CLIENT_PREFACE.length;
      this.#awaitsPreface = false;
    }
    while (!this.closed) {
      if (this.#missing > 0) {
        const bytes = Math.min(this.#missing, end - at);
        if (bytes === 0) return at;
        this.#missing -= bytes;
        this.#received(buffer, at, at + bytes);
        at += bytes;
        continue;
      }
      if (end - at < FRAME_HEADER_BYTES) return at;
      const length = readUint32(buffer, at) >>> 8;
      const type = buffer[at + 3] ?? 0;
      const flags = buffer[at + 4] ?? 0;
      const id = readUint31(buffer, at + 5);
      if (type === FrameType.data) {
        at += FRAME_HEADER_BYTES;
        this.#missing = length;
        this.#dataStream = id;
        this.#dataEnds = (flags & FrameFlag.endStream) !== 0;
        if (length === 0 && this.#dataEnds) this.onStreamEnd(id);
        continue;
      }
      if (end - at < FRAME_HEADER_BYTES + length) return at;
      const payload = at + FRAME_HEADER_BYTES;
      at = payload + length;
      this.#frame(buffer, payload, at, type, flags, id);
    }
    return at;
  }

  #frame(buffer: Buffer, start: number, end: number, type: number, flags: number, id: number): void {
    switch (type) {
      case FrameType.headers:
        this.#head(buffer, start, end, flags, id);
        break;
      case FrameType.settings:
        if ((flags & FrameFlag.ack) === 0) this.#settings(buffer, start, end);
        break;
      case FrameType.ping:
        if ((flags & FrameFlag.ack) !== 0) break;
        this.room(PING_BYTES);
        this.length = writePing(this.output, this.length, true, buffer, start);
        break;
      case FrameType.windowUpdate:
        this.#windowUpdate(id, readUint31(buffer, start));
        break;
      case FrameType.rstStream:
        this.#drop(id);
        this.onStreamReset(id);
        break;
      case FrameType.goaway:
      case FrameType.continuation:
        // Neither belongs into a measurement: whoever sends one shows up with errors.
        this.close();
        this.onGone();
        break;
      default:
        break;
    }
  }

  #head(buffer: Buffer, start: number, end: number, flags: number, id: number): void {
    let from = start;
    let to = end;
    if ((flags & FrameFlag.padded) !== 0) to -= buffer[from++] ?? 0;
    if ((flags & FrameFlag.priority) !== 0) from += 5;
    this.#fields.length = 0;
    const result = this.#decoder.decode(buffer, from, to, this.#fields, LIST_LIMITS);
    if (result !== BlockResult.ok || (flags & FrameFlag.endHeaders) === 0) {
      this.close();
      this.onGone();
      return;
    }
    this.onHead(id, this.#fields);
    if ((flags & FrameFlag.endStream) === 0) return;
    this.#streamUncredited.delete(id);
    this.onStreamEnd(id);
  }

  #settings(buffer: Buffer, start: number, end: number): void {
    for (let at = start; at + 6 <= end; at += 6) {
      const value = readUint32(buffer, at + 2);
      const setting = ((buffer[at] ?? 0) << 8) | (buffer[at + 1] ?? 0);
      if (setting === SettingId.headerTableSize) this.#encoder.setPeerLimit(value);
      if (setting !== SettingId.initialWindowSize) continue;
      for (const stream of new Set([...this.#outgoing, ...this.#open.values()])) {
        stream.window += value - this.#streamWindow;
      }
      this.#streamWindow = value;
    }
    this.room(FRAME_HEADER_BYTES);
    this.length = writeSettingsAck(this.output, this.length);
  }

  #windowUpdate(id: number, bytes: number): void {
    if (id === 0) {
      this.#window += bytes;
      return;
    }
    const stream = this.#open.get(id) ?? this.#outgoing.find((one) => one.id === id);
    if (stream !== undefined) stream.window += bytes;
  }

  #received(buffer: Buffer, start: number, end: number): void {
    const id = this.#dataStream;
    const ends = this.#missing === 0 && this.#dataEnds;
    this.#uncredited += end - start;
    if (this.#uncredited >= CONNECTION_CREDIT_BYTES) {
      this.#credit(0, this.#uncredited);
      this.#uncredited = 0;
    }
    if (ends) this.#streamUncredited.delete(id);
    else this.#receivedOnStream(id, end - start);
    this.onBody(id, buffer, start, end);
    if (ends && !this.closed) this.onStreamEnd(id);
  }

  #receivedOnStream(id: number, bytes: number): void {
    const uncredited = (this.#streamUncredited.get(id) ?? 0) + bytes;
    if (uncredited < STREAM_CREDIT_BYTES) {
      this.#streamUncredited.set(id, uncredited);
      return;
    }
    this.#streamUncredited.set(id, 0);
    this.#credit(id, uncredited);
  }

  #credit(id: number, bytes: number): void {
    this.room(WINDOW_UPDATE_BYTES);
    this.length = writeWindowUpdate(this.output, this.length, id, bytes);
  }

  #drop(id: number): void {
    this.#streamUncredited.delete(id);
    this.#open.delete(id);
    const index = this.#outgoing.findIndex((stream) => stream.id === id);
    if (index >= 0) this.#outgoing.splice(index, 1);
  }
}

function bytesOf({ bytes, prefix }: Body): number {
  return prefix === undefined ? bytes : grpcBytes(bytes);
}

/** A field that is said often enough to be indexed. */
export function field(name: string, value: string): HeaderField {
  return internField(headerName(name), value);
}
