import { ProxyError } from "../../errors/proxy-error.ts";
import type { Transport } from "../../transport/transport.ts";
import type { HeaderField } from "../../wire/header-field.ts";
import { BlockResult } from "../../wire/hpack/decoder.ts";
import { PendingResets } from "../../wire/http2/abuse.ts";
import { H2Code } from "../../wire/http2/error-code.ts";
import { CLIENT_PREFACE, FRAME_HEADER_BYTES, STREAM_ID_MAX } from "../../wire/http2/frame.ts";
import { SettingId } from "../../wire/http2/settings.ts";
import { addDate } from "../date.ts";
import { H2Connection } from "../h2-connection.ts";
import { responseHeadBytes, writeResponseHead } from "../h2-head-writer.ts";
import { LENGTH_UNKNOWN } from "../h2-heads.ts";
import type { H2ServerOptions } from "../h2-options.ts";
import { h2CodeOf } from "../h2-reset.ts";
import { H2Stream, type H2StreamOwner } from "../h2-stream.ts";
import { DiscardSink, ResponseHead, statusField, type HttpService, type ResponseSink } from "../message.ts";

interface ServerStreamOwner extends H2StreamOwner {
  sendHead(stream: ServerStream, head: ResponseHead, last: boolean): void;
}

/** A stream as the response sink of a request. */
class ServerStream extends H2Stream implements ResponseSink {
  readonly #server: ServerStreamOwner;

  constructor(owner: ServerStreamOwner, id: number, sendWindow: number) {
    super(owner, id, sendWindow);
    this.#server = owner;
  }

  head(head: ResponseHead, last: boolean): void {
    if (!this.closed && !this.answered) this.#server.sendHead(this, head, last);
  }
}

const STATUS_431 = statusField(431);

/** How far a graceful end has come. */
type Drain =
  | "none"
  /** GOAWAY with the largest id is sent; requests that were under way are still taken until the PING comes back. */
  | "announced"
  /** The final GOAWAY named the last request that is answered. */
  | "final";

/**
 * The server end of an HTTP/2 connection: calls `service` for each request.
 *
 * Give it the connection from its first byte on, the preface included: to `onBytes`, if somebody else has read it.
 */
export class H2Server extends H2Connection implements ServerStreamOwner {
  readonly #service: HttpService;
  readonly #addsDate: boolean;
  readonly #pendingResets: PendingResets | undefined;
  /** Bytes of the client's preface that have come. */
  #preface = 0;
  #drain: Drain = "none";
  /** The ids that the last jump left out: they never were streams, where all other old ids were. */
  #skippedFrom = 0;
  #skippedTo = 0;

  constructor(transport: Transport, service: HttpService, options: H2ServerOptions = {}) {
    super(transport, options, "downstream");
    this.#service = service;
    this.#addsDate = options.addsDate === true;
    this.heads.oneHost = options.oneHost === true;
    const { pendingResetStreams } = options;
    this.#pendingResets =
      pendingResetStreams === undefined ? undefined : new PendingResets(pendingResetStreams);
    this.start([SettingId.maxConcurrentStreams, this.settings.maxConcurrentStreams]);
  }

  /**
   * Ends the connection gracefully: no request is lost, whatever was under way. `onClose` tells when it is done, which
   * depends on the client and on the requests: whoever cannot wait destroys the transport.
   *
   * Source: RFC 9113 section 6.8.
   */
  drain(): void {
    if (this.over || this.#drain !== "none") return;
    this.#drain = "announced";
    this.control.goaway(STREAM_ID_MAX, H2Code.noError, "");
    // A request sent before our GOAWAY was seen arrives before the answer to this.
    this.sendDrainPing();
  }

  get draining(): boolean {
    return this.#drain !== "none";
  }

  override onBytes(buffer: Buffer, start: number, end: number): void {
    let at = start;
    while (this.#preface < CLIENT_PREFACE.length && at < end) {
      if (buffer[at++] === CLIENT_PREFACE[this.#preface++]) continue;
      this.fail(H2Code.protocolError, "not an HTTP/2 preface");
      return;
    }
    if (!this.over) super.onBytes(buffer, at, end);
  }

  // ---- responses

  sendHead(stream: ServerStream, head: ResponseHead, last: boolean): void {
    if (this.#addsDate) addDate(head.fields);
    const bytes = responseHeadBytes(head);
    // A switch of protocols does not exist here, and an interim response is not forwarded.
    if (head.status < 200 || this.isBlockTooLarge(bytes)) {
      const text = head.status < 200 ? `status ${head.status}` : `response head of ${bytes} bytes`;
      const error = new ProxyError("bad_message", `${text} cannot be sent over HTTP/2`, { side: "upstream" });
      this.resetFrom(stream, error);
      stream.far?.reset(error);
      return;
    }
    stream.answered = true;
    this.control.noteAnswer(bytes);
    const at = this.reserveBlock(bytes);
    const output = this.transport.buffer;
    const from = this.encoder.begin(output, at + FRAME_HEADER_BYTES);
    this.commitBlock(at, writeResponseHead(this.encoder, output, from, head), stream.id, last);
    if (head.closeConnection) this.drain();
    if (!last) return;
    stream.sendEnded = true;
    this.endLocal(stream);
  }

  /**
   * The service ends the exchange. A response that it had finished is delivered first: its reset only stops the upload.
   */
  override resetFrom(stream: H2Stream, error: ProxyError): void {
    if (stream.closed || !stream.sendEnded || stream.localEnded) return super.resetFrom(stream, error);
    stream.resetAfterEnd = h2CodeOf(error);
    stream.far = new DiscardSink(stream);
    stream.credit(stream.uncredited);
  }

  // ---- requests

  protected override onHeaders(
    streamId: number,
    stream: H2Stream | undefined,
    endStream: boolean,
    list: HeaderField[],
    result: BlockResult,
  ): void {
    if (stream !== undefined) return this.#onTrailers(stream, endStream, list, result);
    if ((streamId & 1) === 0) return this.fail(H2Code.protocolError, "HEADERS on an even stream");
    if (streamId <= this.lastPeerId) return this.#onOldStream(streamId);
    if (streamId > this.lastPeerId + 2) {
      this.#skippedFrom = this.lastPeerId + 1;
      this.#skippedTo = streamId;
    }
    // After the final GOAWAY the client knows that this would not be answered, and may retry elsewhere.
    if (this.#drain === "final") return this.#refuse(streamId, "after GOAWAY");
    this.lastPeerId = streamId;
    if (this.streams.size >= this.settings.maxConcurrentStreams)
      return this.#refuse(streamId, "too many streams");
    if (result === BlockResult.tooLarge) return this.#answerTooLarge(streamId, endStream);
    if (result !== BlockResult.ok) {
      return this.streamError(streamId, undefined, H2Code.protocolError, "invalid field or priority");
    }
    const head = this.heads.request(list, this.lastReadMs);
    if (head === undefined)
      return this.streamError(streamId, undefined, H2Code.protocolError, this.heads.problem);
    const contentLength = this.heads.contentLength;
    if (endStream && contentLength > 0) {
      return this.streamError(streamId, undefined, H2Code.protocolError, "content-length without content");
    }
    const opened = new ServerStream(this, streamId, this.peer.initialWindowSize);
    opened.remoteEnded = endStream;
    opened.contentLeft = head.upgrade ? LENGTH_UNKNOWN : contentLength;
    opened.sample = this.abuse.resets.open();
    opened.openedAtMs = this.lastReadMs;
    this.streams.add(opened);
    const far = this.#service.call(head, endStream, opened);
    // An answer given during the call has ended the stream or is owed credit.
    if (opened.far === undefined) opened.far = far;
    if (opened.creditDue > 0) far.credit(opened.creditDue);
  }

  #onTrailers(stream: H2Stream, endStream: boolean, list: HeaderField[], result: BlockResult): void {
    if (result !== BlockResult.ok)
      return this.streamError(stream.id, stream, H2Code.protocolError, "invalid or too many trailers");
    const fields = this.heads.trailers(list, endStream, stream.contentLeft);
    if (fields === undefined)
      return this.streamError(stream.id, stream, H2Code.protocolError, this.heads.problem);
    stream.remoteEnded = true;
    stream.far?.trailers(fields);
    if (stream.localEnded) this.closeStream(stream);
  }

  #onOldStream(streamId: number): void {
    if (this.wasReset(streamId)) return;
    if (streamId > this.#skippedFrom && streamId < this.#skippedTo) {
      this.fail(H2Code.protocolError, "stream ids go backwards");
    } else this.fail(H2Code.streamClosed, "HEADERS on a closed stream");
  }

  #refuse(streamId: number, problem: string): void {
    this.refuseStream(streamId, H2Code.refusedStream);
    this.noteRejected("refused", problem);
  }

  /** RFC 9113 section 10.5.1: the stream fails, with a status that explains itself. */
  #answerTooLarge(streamId: number, endStream: boolean): void {
    const head = new ResponseHead(20, 431, STATUS_431, []);
    const bytes = responseHeadBytes(head);
    this.control.noteAnswer(bytes);
    const at = this.reserveBlock(bytes);
    const from = this.encoder.begin(this.transport.buffer, at + FRAME_HEADER_BYTES);
    this.commitBlock(at, writeResponseHead(this.encoder, this.transport.buffer, from, head), streamId, true);
    if (!endStream) this.refuseStream(streamId, H2Code.noError);
    this.noteRejected("too_large", "header list too large");
  }

  // ---- hooks

  protected override isIdle(streamId: number): boolean {
    return (streamId & 1) === 0 || streamId > this.lastPeerId;
  }

  protected override onPeerReset(stream: H2Stream): void {
    if (stream.answered || this.over) return;
    const isPending = this.#pendingResets?.reset(stream.openedAtMs, this.lastReadMs) === false;
    if (isPending || !this.abuse.resets.reset(stream.sample, stream.openedAtMs, this.lastReadMs)) {
      this.fail(H2Code.enhanceYourCalm, "too_many_resets");
    }
  }

  protected override onPeerSettings(): void {}

  /** The client opens no more streams. It closes when it has its answers. */
  protected override onPeerGoaway(): void {}

  protected override onDrainPong(): void {
    if (this.over || this.#drain !== "announced") return;
    this.#drain = "final";
    this.control.goaway(this.lastPeerId, H2Code.noError, "");
    this.onStreamClosed();
  }

  protected override onStreamClosed(): void {
    if (this.#drain === "final" && this.streams.size === 0 && !this.over) this.transport.end();
  }

  protected override onOver(): void {}
}
