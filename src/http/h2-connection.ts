import { ProxyError } from "../errors/proxy-error.ts";
import type { Clock, Timer } from "../time/clock.ts";
import type { ByteHandler, Transport } from "../transport/transport.ts";
import type { HeaderField } from "../wire/header-field.ts";
import { BlockResult, HpackDecoder, type ListLimits } from "../wire/hpack/decoder.ts";
import { HpackEncoder } from "../wire/hpack/encoder.ts";
import { AbuseCounts } from "../wire/http2/abuse.ts";
import { H2Code, h2CodeName } from "../wire/http2/error-code.ts";
import { canGrow, ReceiveWindow, WINDOW_DEFAULT } from "../wire/http2/flow-window.ts";
import { FRAME_HEADER_BYTES, FrameFlag, FrameType, readUint31, readUint32 } from "../wire/http2/frame.ts";
import { continuationsMax, FrameReader, type FrameHandler } from "../wire/http2/frame-reader.ts";
import { continuationRoom, frameHeaderBlock, writeFrameHeader } from "../wire/http2/frame-writer.ts";
import { PeerSettings, SETTING_BYTES, SettingId } from "../wire/http2/settings.ts";
import {
  H2_ASSUMED_PEER_STREAMS,
  H2_CLOSE_LINGER_MS,
  H2_CONNECTION_SEND_BUFFER_BYTES,
  H2_CONTINUATION_FRAMES_MIN,
  H2_FRAME_BYTES,
  H2_HEADER_LIST_ABUSE_FACTOR,
  HPACK_TABLE_BYTES,
} from "../wire/limits.ts";
import { AdaptiveWindows, type AdaptiveWindowsPeer } from "./h2-adaptive-windows.ts";
import { ControlWriter } from "./h2-control-writer.ts";
import { HeadReader, LENGTH_UNKNOWN } from "./h2-heads.ts";
import { fieldsBytes, writeFields } from "./h2-head-writer.ts";
import { KeepAlive, type KeepAlivePeer } from "./h2-keep-alive.ts";
import { h2Settings, type H2Options, type H2Rejection, type H2Settings } from "./h2-options.ts";
import { h2CodeOf, peerName, resetError, type Side } from "./h2-reset.ts";
import { ResetIds } from "./h2-reset-ids.ts";
import { SendQueue } from "./h2-send-queue.ts";
import type { H2Stream, H2StreamOwner } from "./h2-stream.ts";
import { StreamTable } from "./h2-stream-table.ts";
import { WaitingStreams } from "./h2-waiting-streams.ts";

/** Contents of our PINGs, by which their answers are told apart. */
const KEEP_ALIVE_PING = Buffer.from("outrigKA", "latin1");
const DRAIN_PING = Buffer.from("outrigDR", "latin1");
const WINDOW_PING = Buffer.from("outrigFW", "latin1");

/** Credit for the connection is announced at this share of its window, for a stream at a larger one: it is refilled more often. */
const CONNECTION_CREDIT_SHARE = 1 / 16;
const STREAM_CREDIT_SHARE = 1 / 4;

/** The largest header block that a peer with our own limits reads, whatever list it advertises (LIM-14). */
const BLOCK_ALWAYS_TAKEN_BYTES = (1 + H2_CONTINUATION_FRAMES_MIN) * H2_FRAME_BYTES;

/**
 * What both roles of an HTTP/2 connection share: frames in and out, windows, settings, the life of streams.
 *
 * Whatever the peer does, each exchange ends exactly once, queued bytes stay within the windows that were granted for
 * them, and a fault of one stream leaves the others alone where RFC 9113 allows.
 *
 * Source: RFC 9113.
 */
export abstract class H2Connection
  implements ByteHandler, FrameHandler, H2StreamOwner, KeepAlivePeer, AdaptiveWindowsPeer
{
  protected readonly transport: Transport;
  protected readonly settings: H2Settings;
  protected readonly encoder = new HpackEncoder(HPACK_TABLE_BYTES);
  protected readonly control: ControlWriter;
  protected readonly heads = new HeadReader();
  protected readonly abuse = new AbuseCounts();
  protected readonly streams = new StreamTable();
  protected readonly peer = new PeerSettings(H2_ASSUMED_PEER_STREAMS);
  /** Monotonic milliseconds of the last read. */
  lastReadMs: number;
  reads = 0;
  /** The largest id of a stream that the peer opened. */
  protected lastPeerId = 0;
  /** No exchange is left and none will come: GOAWAY for an error, or the peer or transport is gone. */
  protected over = false;

  readonly #clock: Clock;
  readonly #side: Side;
  readonly #onClose: ((error: ProxyError | undefined) => void) | undefined;
  readonly #onRejected: ((rejection: H2Rejection, problem: string) => void) | undefined;
  readonly #decoder = new HpackDecoder(HPACK_TABLE_BYTES);
  readonly #reader: FrameReader;
  readonly #limits: ListLimits;
  #settingsSeen = false;
  #settingsAcked = false;

  /** What we may send, what the peer may send. */
  #sendWindow = WINDOW_DEFAULT;
  readonly #window: ReceiveWindow;
  /** What the two kinds of windows were made for. */
  #streamWindowBytes: number;
  #connectionWindowBytes: number;
  /** Undefined where windows stay as they are. */
  readonly #adaptive: AdaptiveWindows | undefined;
  /** Bytes of all queues that their sources have credit for already. */
  #ahead = 0;
  /** The stream of the DATA frame being read; undefined where its content is dropped. */
  #dataStream: H2Stream | undefined;
  #dataEndsStream = false;
  readonly #waiting = new WaitingStreams();
  readonly #resetIds: ResetIds;
  #lingerTimer: Timer | undefined;
  /** Why we ended the connection, if the peer broke its rules. */
  #failure: ProxyError | undefined;
  #keepAlive: KeepAlive | undefined;

  protected constructor(transport: Transport, options: H2Options, side: Side) {
    this.transport = transport;
    this.settings = h2Settings(options);
    this.#side = side;
    this.#onClose = options.onClose;
    this.#onRejected = options.onRejected;
    this.#clock = this.settings.clock;
    this.control = new ControlWriter(transport, this.#clock, side);
    this.lastReadMs = this.#clock.nowMs();
    const { headerListBytes, streamWindowBytes, connectionWindowBytes, frameBytes } = this.settings;
    this.#limits = {
      bytes: headerListBytes,
      abuseBytes: headerListBytes * H2_HEADER_LIST_ABUSE_FACTOR,
      fields: this.settings.fieldsPerBlock,
    };
    this.#reader = new FrameReader(this, continuationsMax(headerListBytes), frameBytes);
    this.#streamWindowBytes = streamWindowBytes;
    this.#connectionWindowBytes = connectionWindowBytes;
    this.#window = new ReceiveWindow(
      connectionWindowBytes,
      batchOf(connectionWindowBytes, CONNECTION_CREDIT_SHARE),
    );
    this.#adaptive = this.settings.adaptiveWindows ? new AdaptiveWindows(this) : undefined;
    this.#resetIds = new ResetIds(this.settings.resetStreams);
  }

  get openStreams(): number {
    return this.streams.size;
  }

  // ---- what the roles add

  /** A header block came. `result` is `ok`, `invalidField` or `tooLarge`. */
  protected abstract onHeaders(
    streamId: number,
    stream: H2Stream | undefined,
    endStream: boolean,
    list: HeaderField[],
    result: BlockResult,
  ): void;
  /** Whether no frame may name that stream yet. */
  protected abstract isIdle(streamId: number): boolean;
  protected abstract onPeerReset(stream: H2Stream): void;
  protected abstract onPeerSettings(): void;
  protected abstract onPeerGoaway(lastId: number, code: number): void;
  protected abstract onDrainPong(): void;
  protected abstract onStreamClosed(): void;
  protected abstract onOver(error: ProxyError): void;

  /** Sends our part of the preface and starts reading. The last step of a constructor. */
  protected start(settings: number[]): void {
    const { streamWindowBytes, connectionWindowBytes, headerListBytes, frameBytes, keepAlive } =
      this.settings;
    if (streamWindowBytes !== WINDOW_DEFAULT) settings.push(SettingId.initialWindowSize, streamWindowBytes);
    if (frameBytes !== H2_FRAME_BYTES) settings.push(SettingId.maxFrameSize, frameBytes);
    settings.push(SettingId.maxHeaderListSize, headerListBytes);
    this.control.settings(settings);
    if (connectionWindowBytes > WINDOW_DEFAULT)
      this.control.windowUpdate(0, connectionWindowBytes - WINDOW_DEFAULT);
    if (keepAlive !== undefined) this.#keepAlive = new KeepAlive(keepAlive, this.#clock, this);
    this.transport.attach(this);
  }

  // ---- ByteHandler

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.lastReadMs = this.#clock.nowMs();
    this.reads++;
    this.#reader.read(buffer, start, end);
  }

  /** HTTP/2 has no half-closed connections: windows could never open again. */
  onEnd(): void {
    this.giveUp(
      new ProxyError(this.#closeCode(), `${peerName(this.#side)} closed the connection`, {
        side: this.#side,
      }),
    );
    this.transport.end();
  }

  onDrain(): void {
    this.control.onDrain();
    this.#pump();
  }

  onClose(error: ProxyError | undefined): void {
    this.giveUp(error ?? new ProxyError(this.#closeCode(), "connection closed", { side: this.#side }));
    this.control.stop();
    this.#lingerTimer?.cancel();
    this.#onClose?.(error ?? this.#failure);
  }

  #closeCode(): "io" | "upstream_closed" {
    return this.#side === "upstream" ? "upstream_closed" : "io";
  }

  // ---- FrameHandler

  onReadError(code: H2Code, problem: string): void {
    this.fail(code, problem);
  }

  onDataFrame(streamId: number, flowBytes: number, padBytes: number, endStream: boolean): void {
    this.#dataStream = undefined;
    if (!this.#settingsSeen) return this.fail(H2Code.protocolError, "first frame is not SETTINGS");
    if (!this.#window.take(flowBytes))
      return this.fail(H2Code.flowControlError, "connection window exceeded");
    this.#adaptive?.onData(flowBytes, this.lastReadMs);
    const stream = this.streams.get(streamId);
    if (stream === undefined || stream.remoteEnded || (this.#side === "upstream" && !stream.answered)) {
      this.#giveConnection(flowBytes);
      this.#unexpectedData(streamId, stream);
      return;
    }
    const window = (stream.window ??= this.#newWindow());
    if (!window.take(flowBytes)) {
      this.#giveConnection(flowBytes);
      return this.streamError(streamId, stream, H2Code.flowControlError, "stream window exceeded");
    }
    const content = flowBytes - padBytes;
    if (content > 0) this.abuse.fullData();
    else if (!endStream && !this.abuse.emptyData(this.lastReadMs)) {
      return this.fail(H2Code.enhanceYourCalm, "too many empty DATA frames");
    }
    stream.uncredited += content;
    if (padBytes > 0) {
      stream.uncredited += padBytes;
      this.creditFrom(stream, padBytes);
    }
    if (stream.contentLeft !== LENGTH_UNKNOWN) {
      const left = stream.contentLeft - content;
      if (left < 0 || (endStream && left > 0)) {
        return this.streamError(streamId, stream, H2Code.protocolError, "content-length and DATA differ");
      }
      stream.contentLeft = left;
    }
    this.#dataStream = stream;
    this.#dataEndsStream = endStream;
  }

  onDataRange(buffer: Buffer, start: number, end: number, last: boolean): void {
    const stream = this.#dataStream;
    if (stream === undefined || stream.closed) return;
    const ends = last && this.#dataEndsStream;
    if (ends) stream.remoteEnded = true;
    else if (start === end) return;
    stream.far?.data(buffer, start, end, ends);
    if (ends && stream.localEnded) this.closeStream(stream);
  }

  onHeaderBlock(
    streamId: number,
    endStream: boolean,
    dependsOnItself: boolean,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    if (!this.#settingsSeen) return this.fail(H2Code.protocolError, "first frame is not SETTINGS");
    // A new one each time: emptying an array costs more than making one.
    const list: HeaderField[] = [];
    const result = this.#decoder.decode(buffer, start, end, list, this.#limits);
    if (result === BlockResult.corrupt) return this.fail(H2Code.compressionError, this.#decoder.problem);
    if (result === BlockResult.abusive) return this.fail(H2Code.enhanceYourCalm, "header list far too large");
    const stream = this.streams.get(streamId);
    if (stream?.remoteEnded) {
      return this.streamError(streamId, stream, H2Code.streamClosed, "HEADERS after END_STREAM");
    }
    // A stream that depends on itself is handled as a malformed message: priorities have no other meaning to us.
    this.onHeaders(streamId, stream, endStream, list, dependsOnItself ? BlockResult.invalidField : result);
  }

  onFrame(type: number, flags: number, streamId: number, buffer: Buffer, start: number, end: number): void {
    if (!this.#settingsSeen && type !== FrameType.settings) {
      return this.fail(H2Code.protocolError, "first frame is not SETTINGS");
    }
    const length = end - start;
    switch (type) {
      case FrameType.windowUpdate:
        if (length !== 4) return this.fail(H2Code.frameSizeError, "WINDOW_UPDATE size");
        return this.#onWindowUpdate(streamId, readUint31(buffer, start));
      case FrameType.rstStream:
        if (length !== 4) return this.fail(H2Code.frameSizeError, "RST_STREAM size");
        return this.#onRstStream(streamId, readUint32(buffer, start));
      case FrameType.settings:
        return this.#onSettings(flags, streamId, buffer, start, end);
      case FrameType.ping:
        if (streamId !== 0) return this.fail(H2Code.protocolError, "PING on a stream");
        if (length !== 8) return this.fail(H2Code.frameSizeError, "PING size");
        if ((flags & FrameFlag.ack) === 0) return this.control.ping(true, buffer, start);
        if (DRAIN_PING.compare(buffer, start, end) === 0) this.onDrainPong();
        else if (WINDOW_PING.compare(buffer, start, end) === 0) this.#adaptive?.onPong(this.lastReadMs);
        return;
      case FrameType.goaway:
        if (streamId !== 0) return this.fail(H2Code.protocolError, "GOAWAY on a stream");
        if (length < 8) return this.fail(H2Code.frameSizeError, "GOAWAY size");
        return this.onPeerGoaway(readUint31(buffer, start), readUint32(buffer, start + 4));
      case FrameType.priority:
        return this.#onPriority(streamId, buffer, start, end);
      case FrameType.pushPromise:
        return this.fail(H2Code.protocolError, "PUSH_PROMISE is not allowed");
      default:
      // Unknown types are extensions, and ignored (RFC 9113 section 5.5).
    }
  }

  // ---- frames of the peer

  #unexpectedData(streamId: number, stream: H2Stream | undefined): void {
    if (stream !== undefined) {
      if (stream.remoteEnded)
        this.streamError(streamId, stream, H2Code.streamClosed, "DATA after END_STREAM");
      else this.streamError(streamId, stream, H2Code.protocolError, "DATA before HEADERS");
    } else if (this.isIdle(streamId)) this.fail(H2Code.protocolError, "DATA on an idle stream");
    else if (!this.wasReset(streamId)) {
      this.streamError(streamId, undefined, H2Code.streamClosed, "DATA on a closed stream");
    }
  }

  #onWindowUpdate(streamId: number, increment: number): void {
    if (streamId === 0) {
      if (increment === 0) return this.fail(H2Code.protocolError, "WINDOW_UPDATE of 0");
      if (!canGrow(this.#sendWindow, increment))
        return this.fail(H2Code.flowControlError, "connection window overflow");
      this.#sendWindow += increment;
      this.#pump();
      return;
    }
    const stream = this.streams.get(streamId);
    if (stream === undefined) {
      if (this.isIdle(streamId)) this.fail(H2Code.protocolError, "WINDOW_UPDATE on an idle stream");
      return;
    }
    if (increment === 0)
      return this.streamError(streamId, stream, H2Code.protocolError, "WINDOW_UPDATE of 0");
    if (!canGrow(stream.sendWindow, increment)) {
      return this.streamError(streamId, stream, H2Code.flowControlError, "stream window overflow");
    }
    stream.sendWindow += increment;
    this.#wake(stream);
    this.#pump();
  }

  #onRstStream(streamId: number, code: number): void {
    if (streamId === 0) return this.fail(H2Code.protocolError, "RST_STREAM on stream 0");
    const stream = this.streams.get(streamId);
    if (stream === undefined) {
      if (this.isIdle(streamId)) this.fail(H2Code.protocolError, "RST_STREAM on an idle stream");
      return;
    }
    const error = resetError(code, this.#side);
    if (code === H2Code.refusedStream) this.endUnprocessed(stream, error);
    else this.#endStream(stream, error);
    this.onPeerReset(stream);
  }

  #onSettings(flags: number, streamId: number, buffer: Buffer, start: number, end: number): void {
    if (streamId !== 0) return this.fail(H2Code.protocolError, "SETTINGS on a stream");
    if ((flags & FrameFlag.ack) !== 0) {
      if (end !== start) return this.fail(H2Code.frameSizeError, "SETTINGS acknowledgement with content");
      if (!this.#settingsSeen) return this.fail(H2Code.protocolError, "first frame is not SETTINGS");
      return this.#onSettingsAck();
    }
    if ((end - start) % SETTING_BYTES !== 0) return this.fail(H2Code.frameSizeError, "SETTINGS size");
    if (!this.abuse.settings(this.lastReadMs)) return this.fail(H2Code.enhanceYourCalm, "too many SETTINGS");
    if (!this.#settingsSeen) {
      this.#settingsSeen = true;
      // Only now do we know what the peer leaves open: by default, any number of streams.
      this.peer.maxConcurrentStreams = Number.POSITIVE_INFINITY;
    }
    const windowBefore = this.peer.initialWindowSize;
    for (let at = start; at < end; at += SETTING_BYTES) {
      const id = ((buffer[at] ?? 0) << 8) | (buffer[at + 1] ?? 0);
      const code = this.peer.apply(id, readUint32(buffer, at + 2), this.#side === "upstream");
      if (code !== H2Code.noError) return this.fail(code, `invalid value of setting ${id}`);
      // Each value counts, not only the last: a smaller table in between has dropped entries.
      if (id === SettingId.headerTableSize) this.encoder.setPeerLimit(this.peer.headerTableSize);
    }
    const change = this.peer.initialWindowSize - windowBefore;
    if (change !== 0) {
      for (const stream of this.streams.values()) {
        if (!canGrow(stream.sendWindow, change))
          return this.fail(H2Code.flowControlError, "stream window overflow");
        stream.sendWindow += change;
        this.#wake(stream);
      }
    }
    this.control.settingsAck();
    this.onPeerSettings();
    this.#pump();
  }

  /** From here on the peer keeps to our window; what it may send on streams opened before shrinks if ours is smaller. */
  #onSettingsAck(): void {
    if (this.#settingsAcked) return;
    this.#settingsAcked = true;
    const change = Math.min(0, this.settings.streamWindowBytes - WINDOW_DEFAULT);
    if (change === 0) return;
    for (const stream of this.streams.values()) if (stream.window !== undefined) stream.window.left += change;
  }

  #onPriority(streamId: number, buffer: Buffer, start: number, end: number): void {
    if (streamId === 0) return this.fail(H2Code.protocolError, "PRIORITY on stream 0");
    const stream = this.streams.get(streamId);
    let problem = "";
    let code: H2Code = H2Code.frameSizeError;
    if (end - start !== 5) problem = "PRIORITY size";
    else if (readUint31(buffer, start) === streamId) {
      problem = "stream depends on itself";
      code = H2Code.protocolError;
    }
    if (problem === "") return;
    // An idle stream cannot be reset.
    if (stream === undefined && this.isIdle(streamId)) this.fail(code, problem);
    else this.streamError(streamId, stream, code, problem);
  }

  // ---- sending

  sendData(stream: H2Stream, buffer: Buffer, start: number, end: number, last: boolean): void {
    if (last) stream.sendEnded = true;
    let at = start;
    if (stream.id !== 0 && (stream.queue === undefined || stream.queue.length === 0)) {
      at = this.#sendNow(stream, buffer, start, end, last);
    }
    let credit = at - start;
    if (at < end) {
      (stream.queue ??= new SendQueue()).push(buffer, at, end);
      this.#wake(stream);
      if (this.settings.sendBufferBytes > 0) credit += this.#takeAhead(stream, end - at);
    }
    if (credit > 0) this.#creditFar(stream, credit);
  }

  /** What of `bytes` that were just queued may be credited at once: the send buffer's share of the stream's queue. */
  #takeAhead(stream: H2Stream, bytes: number): number {
    // A stream that waits for a place may go to another connection, with all it holds.
    if (stream.id === 0) return 0;
    const room = this.settings.sendBufferBytes - stream.ahead;
    const taken = Math.max(0, Math.min(bytes, room, H2_CONNECTION_SEND_BUFFER_BYTES - this.#ahead));
    stream.ahead += taken;
    this.#ahead += taken;
    return taken;
  }

  /** What is to be credited for `bytes` that have left a queue, of which `queued` stay. */
  #leaveAhead(stream: H2Stream, bytes: number, queued: number): number {
    const had = Math.max(0, stream.ahead - queued);
    stream.ahead -= had;
    this.#ahead -= had;
    return bytes - had;
  }

  /** Writes as much as windows and transport take. Returns the end of what was written. */
  #sendNow(stream: H2Stream, buffer: Buffer, start: number, end: number, last: boolean): number {
    const transport = this.transport;
    let at = start;
    while (at < end && !transport.blocked) {
      const length = Math.min(end - at, stream.sendWindow, this.#sendWindow, H2_FRAME_BYTES);
      if (length <= 0) return at;
      const to = transport.reserve(FRAME_HEADER_BYTES + length);
      const output = transport.buffer;
      const ends = last && at + length === end;
      const content = writeFrameHeader(
        output,
        to,
        length,
        FrameType.data,
        ends ? FrameFlag.endStream : 0,
        stream.id,
      );
      if (length < SHORT_COPY_BYTES)
        for (let i = 0; i < length; i++) output[content + i] = buffer[at + i] ?? 0;
      else buffer.copy(output, content, at, at + length);
      transport.commit(content + length);
      stream.sendWindow -= length;
      this.#sendWindow -= length;
      at += length;
    }
    if (at < end) return at;
    if (last) {
      if (start === end) this.#sendEmptyEnd(stream);
      this.endLocal(stream);
    }
    return at;
  }

  /** END_STREAM of its own needs neither window nor an unblocked transport. */
  #sendEmptyEnd(stream: H2Stream): void {
    const at = this.transport.reserve(FRAME_HEADER_BYTES);
    this.transport.commit(
      writeFrameHeader(this.transport.buffer, at, 0, FrameType.data, FrameFlag.endStream, stream.id),
    );
  }

  sendTrailers(stream: H2Stream, fields: HeaderField[]): void {
    stream.sendEnded = true;
    if (stream.id === 0 || (stream.queue !== undefined && stream.queue.length > 0))
      stream.trailersDue = fields;
    else this.#writeTrailers(stream, fields);
  }

  #writeTrailers(stream: H2Stream, fields: HeaderField[]): void {
    stream.trailersDue = undefined;
    if (fields.length === 0) this.#sendEmptyEnd(stream);
    else {
      const at = this.reserveBlock(fieldsBytes(fields));
      const from = this.encoder.begin(this.transport.buffer, at + FRAME_HEADER_BYTES);
      this.commitBlock(at, writeFields(this.encoder, this.transport.buffer, from, fields), stream.id, true);
    }
    this.endLocal(stream);
  }

  /** Sends what waited while the stream had no id yet. */
  protected sendHeld(stream: H2Stream): void {
    if (stream.queue !== undefined && stream.queue.length > 0) {
      this.#wake(stream);
      this.#pump();
    } else if (stream.trailersDue !== undefined) this.#writeTrailers(stream, stream.trailersDue);
    else if (stream.sendEnded && !stream.localEnded) {
      this.#sendEmptyEnd(stream);
      this.endLocal(stream);
    }
  }

  /** Lets a stream with queued bytes wait for its turn. */
  #wake(stream: H2Stream): void {
    if (stream.id !== 0 && stream.queue !== undefined && stream.queue.length > 0) this.#waiting.add(stream);
  }

  /** Sends queued bytes, one frame per stream and turn, until all is sent or nothing more is taken. */
  #pump(): void {
    const transport = this.transport;
    const waiting = this.#waiting;
    for (let stream = waiting.first; stream !== undefined && !transport.blocked; stream = waiting.first) {
      const queue = stream.queue;
      const queued = stream.closed || queue === undefined ? 0 : queue.length;
      const length = Math.min(queued, stream.sendWindow, this.#sendWindow, H2_FRAME_BYTES);
      // For want of connection window all wait; for want of its own only this one leaves the line.
      if (length <= 0 && queued > 0 && this.#sendWindow <= 0) return;
      waiting.dropFirst();
      if (queue === undefined || length <= 0) continue;
      const ends = length === queued && stream.sendEnded && stream.trailersDue === undefined;
      const at = transport.reserve(FRAME_HEADER_BYTES + length);
      const flags = ends ? FrameFlag.endStream : 0;
      const content = writeFrameHeader(transport.buffer, at, length, FrameType.data, flags, stream.id);
      transport.commit(content + queue.take(transport.buffer, content, length));
      stream.sendWindow -= length;
      this.#sendWindow -= length;
      const credit = stream.ahead === 0 ? length : this.#leaveAhead(stream, length, queued - length);
      if (length < queued) this.#wake(stream);
      else if (ends) this.endLocal(stream);
      else if (stream.trailersDue !== undefined) this.#writeTrailers(stream, stream.trailersDue);
      if (credit > 0) this.#creditFar(stream, credit);
    }
  }

  /** Tells the source of a stream's bytes that they have left. */
  #creditFar(stream: H2Stream, bytes: number): void {
    if (stream.far === undefined) stream.creditDue += bytes;
    else stream.far.credit(bytes);
  }

  /** Room for a header block of fields whose sizes sum to `fieldBytes`; the block starts 9 bytes later. */
  protected reserveBlock(fieldBytes: number): number {
    const worst = this.encoder.worstCase(fieldBytes);
    return this.transport.reserve(worst + continuationRoom(worst, H2_FRAME_BYTES));
  }

  protected commitBlock(at: number, end: number, streamId: number, endStream: boolean): void {
    const to = frameHeaderBlock(this.transport.buffer, at, end, streamId, endStream, H2_FRAME_BYTES);
    this.transport.commit(to);
  }

  /**
   * Whether the peer would take offence at a list of that size, and not only at the message: then it must not be sent.
   * A list that is merely over what the peer advertised is sent: its answer explains more than we could.
   */
  protected isBlockTooLarge(fieldBytes: number): boolean {
    return fieldBytes > BLOCK_ALWAYS_TAKEN_BYTES && fieldBytes > this.peer.maxHeaderListSize;
  }

  sendKeepAlivePing(): void {
    this.control.ping(false, KEEP_ALIVE_PING, 0);
  }

  protected sendDrainPing(): void {
    this.control.ping(false, DRAIN_PING, 0);
  }

  sendWindowPing(): void {
    this.control.ping(false, WINDOW_PING, 0);
  }

  // ---- credit

  creditFrom(stream: H2Stream, bytes: number): void {
    // Never more than was delivered: windows must not grow by a mistake of some layer.
    const given = Math.min(bytes, stream.uncredited);
    stream.uncredited -= given;
    if (this.over) return;
    this.#giveConnection(given);
    if (stream.closed || stream.remoteEnded) return;
    const increment = stream.window?.give(given) ?? 0;
    if (increment > 0) this.control.windowUpdate(stream.id, increment);
  }

  #giveConnection(bytes: number): void {
    const increment = this.#window.give(bytes);
    if (increment > 0) this.control.windowUpdate(0, increment);
  }

  /** What a stream that was reset had delivered will not be credited any more: it is passed on or dropped elsewhere. */
  protected returnCredit(stream: H2Stream): void {
    const bytes = stream.uncredited;
    stream.uncredited = 0;
    if (bytes > 0 && !this.over) this.#giveConnection(bytes);
  }

  #newWindow(): ReceiveWindow {
    const size = this.#streamWindowBytes;
    // Until our SETTINGS are acknowledged, the peer may still rely on the default.
    const granted = this.#settingsAcked ? size : Math.max(size, WINDOW_DEFAULT);
    return new ReceiveWindow(granted, batchOf(size, STREAM_CREDIT_SHARE));
  }

  /** A peer is given the larger window before it knows of it: it cannot be wrong to use it, whenever it learns. */
  growWindows(bytes: number): void {
    const change = bytes - this.#streamWindowBytes;
    this.#streamWindowBytes = bytes;
    this.control.settings([SettingId.initialWindowSize, bytes]);
    const batch = batchOf(bytes, STREAM_CREDIT_SHARE);
    for (const stream of this.streams.values()) stream.window?.grow(change, batch);
    const more = bytes - this.#connectionWindowBytes;
    if (more <= 0) return;
    this.#connectionWindowBytes = bytes;
    this.#window.grow(more, batchOf(bytes, CONNECTION_CREDIT_SHARE));
    this.control.windowUpdate(0, more);
  }

  // ---- the life of streams

  /** Our direction has ended on the wire. */
  protected endLocal(stream: H2Stream): void {
    stream.localEnded = true;
    if (stream.remoteEnded) this.closeStream(stream);
    else if (stream.resetAfterEnd !== undefined) this.#resetStream(stream, stream.resetAfterEnd);
  }

  protected closeStream(stream: H2Stream): void {
    if (stream.closed) return;
    stream.closed = true;
    stream.queue = undefined;
    stream.trailersDue = undefined;
    if (stream.ahead > 0) this.#leaveAhead(stream, 0, 0);
    this.streams.delete(stream);
    this.onStreamClosed();
  }

  #endStream(stream: H2Stream, error: ProxyError): void {
    this.closeStream(stream);
    this.returnCredit(stream);
    stream.far?.reset(error);
  }

  /** Ends a stream that the peer says it has not looked at. */
  protected endUnprocessed(stream: H2Stream, error: ProxyError): void {
    this.#endStream(stream, error);
  }

  /** The exchange ends the stream. Its own `far` is not told: whoever calls reset does not get one back. */
  resetFrom(stream: H2Stream, error: ProxyError): void {
    if (stream.closed) this.returnCredit(stream);
    else this.#resetStream(stream, h2CodeOf(error));
  }

  #resetStream(stream: H2Stream, code: number): void {
    if (stream.id !== 0) {
      this.control.rstStream(stream.id, code);
      if (!stream.remoteEnded) this.#resetIds.add(stream.id);
    }
    this.closeStream(stream);
    this.returnCredit(stream);
  }

  /** Resets a stream that was never made: frames on it that follow are dropped. */
  protected refuseStream(streamId: number, code: H2Code): void {
    this.control.rstStream(streamId, code);
    this.#resetIds.add(streamId);
  }

  /** Tells the owner of a message that does not reach the exchange, or not whole. */
  protected noteRejected(rejection: H2Rejection, problem: string): void {
    this.#onRejected?.(rejection, problem);
  }

  /** The peer broke a rule of one stream. `stream` is undefined if it is not or no longer open. */
  protected streamError(streamId: number, stream: H2Stream | undefined, code: H2Code, problem: string): void {
    this.refuseStream(streamId, code);
    this.noteRejected("malformed", problem);
    if (stream !== undefined) {
      this.closeStream(stream);
      this.returnCredit(stream);
      const text = `malformed message from ${peerName(this.#side)}: ${problem}`;
      stream.far?.reset(new ProxyError("bad_message", text, { h2Code: code, side: this.#side }));
    }
    if (!this.over && !this.abuse.streamError(this.lastReadMs)) {
      this.fail(H2Code.enhanceYourCalm, "too many stream errors");
    }
  }

  /** Whether we reset that stream lately: then frames on it are late, not wrong. */
  protected wasReset(streamId: number): boolean {
    return this.#resetIds.has(streamId);
  }

  // ---- the end of the connection

  /** The peer broke a rule of the connection: GOAWAY, then close. */
  protected fail(code: H2Code, problem: string): void {
    if (this.over) return;
    this.control.goaway(this.lastPeerId, code, problem);
    const text = `HTTP/2 error of ${peerName(this.#side)}: ${problem} (${h2CodeName(code)})`;
    this.#failure = new ProxyError(this.#closeCode(), text, { h2Code: code, side: this.#side });
    this.giveUp(this.#failure);
    // Finished rather than cut, because a cut would destroy the GOAWAY on its way; but not for ever.
    this.transport.end();
    this.#lingerTimer = this.#clock.after(H2_CLOSE_LINGER_MS, () => this.transport.destroy());
  }

  onKeepAliveTimeout(): void {
    const error = new ProxyError("io", `${peerName(this.#side)} does not answer PING`, { side: this.#side });
    this.giveUp(error);
    this.transport.destroy(error);
  }

  /** Ends every exchange with `error`, once. Nothing is read afterwards. */
  protected giveUp(error: ProxyError): void {
    if (this.over) return;
    this.over = true;
    this.#reader.stop();
    this.#keepAlive?.stop();
    this.#adaptive?.stop();
    this.#waiting.clear();
    const streams = this.streams.values();
    this.streams.clear();
    for (const stream of streams) {
      stream.closed = true;
      stream.queue = undefined;
      stream.trailersDue = undefined;
    }
    for (const stream of streams) stream.far?.reset(error);
    this.onOver(error);
  }
}

/** Below this length a loop copies faster than a call into the runtime. */
const SHORT_COPY_BYTES = 32;

/** Credit is announced in pieces of this many bytes. */
function batchOf(windowBytes: number, share: number): number {
  return Math.max(1, Math.floor(windowBytes * share));
}
