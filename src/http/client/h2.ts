import { ProxyError } from "../../errors/proxy-error.ts";
import type { Timer } from "../../time/clock.ts";
import type { Transport } from "../../transport/transport.ts";
import type { HeaderField } from "../../wire/header-field.ts";
import { BlockResult } from "../../wire/hpack/decoder.ts";
import { H2Code, h2CodeName } from "../../wire/http2/error-code.ts";
import { CLIENT_PREFACE, FRAME_HEADER_BYTES, STREAM_ID_MAX } from "../../wire/http2/frame.ts";
import { SettingId } from "../../wire/http2/settings.ts";
import { H2Connection } from "../h2-connection.ts";
import { requestHeadBytes, writeRequestHead } from "../h2-head-writer.ts";
import { LENGTH_UNKNOWN } from "../h2-heads.ts";
import { H2_SERVER_SETTINGS_MS, type H2ClientOptions } from "../h2-options.ts";
import { H2Stream } from "../h2-stream.ts";
import type { HttpService, RequestHead, ResponseHead, ResponseSink, Sink } from "../message.ts";
import { PROCESS_SENT_BODIES } from "./sent-bodies.ts";
import type { UnprocessedCall } from "./unprocessed-calls.ts";

/** A stream as the request sink of a call. */
class ClientStream extends H2Stream {
  readonly response: ResponseSink;
  readonly method: string;
  /** Undefined once it is answered: nobody needs it any more. */
  head: RequestHead | undefined;
  readonly headIsLast: boolean;
  /** It was made before, and will not be made a third time. */
  isAgain = false;
  /** The same call on another stream, once this one was refused. */
  successor: Sink | undefined = undefined;
  /** The body so far, among `PROCESS_SENT_BODIES`. */
  #bodyAt = 0;
  #bodyBytes = 0;
  #trailers: HeaderField[] | undefined = undefined;

  constructor(client: H2Client, head: RequestHead, last: boolean, response: ResponseSink) {
    super(client, 0, 0);
    this.far = response;
    this.response = response;
    this.method = head.method.value;
    this.head = head;
    this.headIsLast = last;
  }

  override data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (this.successor !== undefined) return this.successor.data(buffer, start, end, last);
    if (!this.answered && !this.closed && end > start) {
      this.#bodyAt = PROCESS_SENT_BODIES.append(this.#bodyAt, this.#bodyBytes, buffer, start, end);
      this.#bodyBytes += end - start;
    }
    super.data(buffer, start, end, last);
  }

  override trailers(fields: HeaderField[]): void {
    if (this.successor !== undefined) return this.successor.trailers(fields);
    this.#trailers = fields;
    super.trailers(fields);
  }

  override credit(bytes: number): void {
    if (this.successor !== undefined) this.successor.credit(bytes);
    else super.credit(bytes);
  }

  override reset(error: ProxyError): void {
    if (this.successor !== undefined) this.successor.reset(error);
    else super.reset(error);
  }

  /** The call as it came, for a server that has not looked at it; undefined if it cannot be made again. */
  unprocessed(error: ProxyError): UnprocessedCall | undefined {
    const { head, headIsLast: last, response, sendEnded: ended } = this;
    if (this.isAgain || this.answered || head === undefined) return undefined;
    const length = this.#bodyBytes;
    const body = length === 0 ? NO_BODY : PROCESS_SENT_BODIES.read(this.#bodyAt, length);
    if (body === undefined) return undefined;
    const credited = length - (this.queue?.length ?? 0) + this.ahead;
    return { head, last, body, trailers: this.#trailers, ended, credited, response, error };
  }
}

const NO_BODY = Buffer.alloc(0);

/**
 * The client end of an HTTP/2 connection: each call is a stream. Calls beyond what the server allows wait inside, in order.
 *
 * After GOAWAY (or `close`) calls fail with `h2_goaway`. Streams that the server says it has not looked at are handed back
 * to be made again (`onUnprocessed`), or fail. Streams that it has looked at finish.
 */
export class H2Client extends H2Connection implements HttpService {
  readonly #onReady: (() => void) | undefined;
  readonly #onRetire: (() => void) | undefined;
  readonly #onUnprocessed: H2ClientOptions["onUnprocessed"];
  readonly #pending = new Set<ClientStream>();
  #nextId: number;
  #ready = false;
  /** Runs until the server's SETTINGS come. */
  readonly #settingsTimer: Timer;
  /** Why no further call is taken. */
  #retired: ProxyError | undefined;

  constructor(transport: Transport, options: H2ClientOptions = {}) {
    super(transport, options, "upstream");
    this.#onReady = options.onReady;
    this.#onRetire = options.onRetire;
    this.#onUnprocessed = options.onUnprocessed;
    this.#nextId = options.firstStreamId ?? 1;
    this.#settingsTimer = this.settings.clock.after(H2_SERVER_SETTINGS_MS, () => {
      const text = `server sent no SETTINGS in ${H2_SERVER_SETTINGS_MS}ms`;
      this.destroy(new ProxyError("connect_timeout", text, { side: "upstream" }));
    });
    transport.write(CLIENT_PREFACE, 0, CLIENT_PREFACE.length);
    this.start([SettingId.enablePush, 0]);
  }

  /** The server's SETTINGS have come. */
  get ready(): boolean {
    return this.#ready;
  }

  /** No further call is taken. */
  get retired(): boolean {
    return this.#retired !== undefined;
  }

  /** Streams that the server allows at once; an assumption until `ready`. */
  get maxStreams(): number {
    return this.peer.maxConcurrentStreams;
  }

  /** Calls that wait for a place. */
  get pendingCalls(): number {
    return this.#pending.size;
  }

  /** Takes no further calls; closes the connection when those under way are done. */
  close(): void {
    if (this.over || this.#retired !== undefined) return;
    this.control.goaway(0, H2Code.noError, "");
    this.#retire(
      new ProxyError("h2_goaway", "connection is closing", { h2Code: H2Code.noError, side: "upstream" }),
    );
  }

  /** Closes at once: calls under way fail with `error`. */
  destroy(error: ProxyError): void {
    this.giveUp(error);
    this.transport.destroy(error);
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    return this.#begin(new ClientStream(this, head, last, response));
  }

  /** A call that was made before and came to nothing: it is not handed back to be made again. */
  callAgain(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const stream = new ClientStream(this, head, last, response);
    stream.isAgain = true;
    return this.#begin(stream);
  }

  #begin(stream: ClientStream): Sink {
    stream.sendEnded = stream.headIsLast;
    if (this.#retired !== undefined) {
      stream.closed = true;
      stream.response.reset(this.#retired);
    } else if (this.#pending.size === 0 && this.streams.size < this.peer.maxConcurrentStreams)
      this.#open(stream);
    else this.#pending.add(stream);
    return stream;
  }

  #open(stream: ClientStream): void {
    const head = stream.head;
    if (head === undefined) return;
    const bytes = requestHeadBytes(head);
    if (this.isBlockTooLarge(bytes)) {
      stream.closed = true;
      const text = `request head of ${bytes} bytes is more than the server takes`;
      stream.response.reset(new ProxyError("bad_message", text, { side: "downstream" }));
      return;
    }
    stream.id = this.#nextId;
    this.#nextId += 2;
    stream.sendWindow = this.peer.initialWindowSize;
    this.streams.add(stream);
    const at = this.reserveBlock(bytes);
    const output = this.transport.buffer;
    const from = this.encoder.begin(output, at + FRAME_HEADER_BYTES);
    this.commitBlock(at, writeRequestHead(this.encoder, output, from, head), stream.id, stream.headIsLast);
    if (stream.headIsLast) this.endLocal(stream);
    else this.sendHeld(stream);
    if (this.#nextId > STREAM_ID_MAX) {
      this.#retire(
        new ProxyError("h2_goaway", "stream ids are used up", { h2Code: H2Code.noError, side: "upstream" }),
      );
    }
  }

  #openPending(): void {
    for (const stream of this.#pending) {
      if (this.#retired !== undefined || this.streams.size >= this.peer.maxConcurrentStreams) return;
      this.#pending.delete(stream);
      this.#open(stream);
    }
  }

  override resetFrom(stream: H2Stream, error: ProxyError): void {
    // Only streams without an id can be pending, and those are all of this class.
    if (stream.id === 0) this.#pending.delete(stream as ClientStream);
    super.resetFrom(stream, error);
  }

  // ---- responses

  protected override onHeaders(
    streamId: number,
    stream: H2Stream | undefined,
    endStream: boolean,
    list: HeaderField[],
    result: BlockResult,
  ): void {
    if (!(stream instanceof ClientStream)) return this.#onUnknownStream(streamId);
    if (result !== BlockResult.ok) {
      const problem = result === BlockResult.tooLarge ? "header list too large" : "invalid field or priority";
      return this.streamError(streamId, stream, H2Code.protocolError, problem);
    }
    if (stream.answered) return this.#onTrailers(stream, endStream, list);
    const head = this.heads.response(list);
    if (head === undefined)
      return this.streamError(streamId, stream, H2Code.protocolError, this.heads.problem);
    if (head.status < 200) {
      // Interim responses end here, as in linkerd2-proxy.
      if (endStream)
        this.streamError(streamId, stream, H2Code.protocolError, "interim response with END_STREAM");
      return;
    }
    this.#onHead(stream, head, endStream, this.heads.contentLength);
  }

  #onHead(stream: ClientStream, head: ResponseHead, endStream: boolean, contentLength: number): void {
    stream.answered = true;
    stream.head = undefined;
    const { status } = head;
    const tunnel = stream.method === "CONNECT" && status < 300;
    // These have no content, whatever length they tell (RFC 9110 sections 6.4.1 and 8.6).
    const bare = stream.method === "HEAD" || status === 204 || status === 304;
    if (endStream && !bare && !tunnel && contentLength > 0) {
      return this.streamError(stream.id, stream, H2Code.protocolError, "content-length without content");
    }
    stream.contentLeft = bare ? 0 : tunnel ? LENGTH_UNKNOWN : contentLength;
    stream.remoteEnded = endStream;
    stream.response.head(head, endStream);
    if (endStream && stream.localEnded) this.closeStream(stream);
  }

  #onTrailers(stream: ClientStream, endStream: boolean, list: HeaderField[]): void {
    const fields = this.heads.trailers(list, endStream, stream.contentLeft);
    if (fields === undefined)
      return this.streamError(stream.id, stream, H2Code.protocolError, this.heads.problem);
    stream.remoteEnded = true;
    stream.response.trailers(fields);
    if (stream.localEnded) this.closeStream(stream);
  }

  #onUnknownStream(streamId: number): void {
    if (this.isIdle(streamId)) this.fail(H2Code.protocolError, "HEADERS on a stream that was not opened");
    else if (!this.wasReset(streamId)) this.fail(H2Code.streamClosed, "HEADERS on a closed stream");
  }

  // ---- hooks

  protected override isIdle(streamId: number): boolean {
    return (streamId & 1) === 0 || streamId >= this.#nextId;
  }

  protected override onPeerReset(): void {}

  protected override onPeerSettings(): void {
    if (!this.#ready) {
      this.#ready = true;
      this.#settingsTimer.cancel();
      this.#onReady?.();
    }
    this.#openPending();
  }

  /** Streams above `lastId` were not looked at, and may be sent again elsewhere (RFC 9113 section 6.8). */
  protected override onPeerGoaway(lastId: number, code: number): void {
    const error = new ProxyError("h2_goaway", `server said GOAWAY: ${h2CodeName(code)}`, {
      h2Code: code,
      side: "upstream",
    });
    const left: H2Stream[] = [];
    for (const stream of this.streams.values()) if (stream.id > lastId) left.push(stream);
    this.#retire(error);
    for (const stream of left) if (!stream.closed) this.endUnprocessed(stream, error);
  }

  protected override endUnprocessed(stream: H2Stream, error: ProxyError): void {
    // Every stream of this connection is of this class.
    const successor = this.#handBack(stream as ClientStream, error);
    if (successor === undefined) return super.endUnprocessed(stream, error);
    this.closeStream(stream);
    this.returnCredit(stream);
  }

  /** A GOAWAY for an error may be about that very call: it is not made again. */
  #handBack(stream: ClientStream, error: ProxyError): Sink | undefined {
    const isOrderly = error.code === "h2_reset" || error.detail.h2Code === H2Code.noError;
    const call = isOrderly ? stream.unprocessed(error) : undefined;
    if (call !== undefined) stream.successor = this.#onUnprocessed?.(call);
    return stream.successor;
  }

  protected override onDrainPong(): void {}

  protected override onStreamClosed(): void {
    if (this.over) return;
    if (this.#retired === undefined) this.#openPending();
    else if (this.streams.size === 0) this.transport.end();
  }

  protected override onOver(error: ProxyError): void {
    this.#settingsTimer.cancel();
    this.#retire(error);
  }

  #retire(error: ProxyError): void {
    if (this.#retired !== undefined) return;
    this.#retired = error;
    const pending = [...this.#pending];
    this.#pending.clear();
    const refused: ClientStream[] = [];
    for (const stream of pending) {
      const isOver = error.code !== "h2_goaway" || this.#handBack(stream, error) === undefined;
      stream.closed = true;
      stream.queue = undefined;
      if (isOver) refused.push(stream);
    }
    for (const stream of refused) stream.response.reset(error);
    this.#onRetire?.();
    if (this.streams.size === 0 && !this.over) this.transport.end();
  }
}
