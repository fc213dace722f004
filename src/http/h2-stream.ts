import type { ProxyError } from "../errors/proxy-error.ts";
import type { HeaderField } from "../wire/header-field.ts";
import type { ReceiveWindow } from "../wire/http2/flow-window.ts";
import { LENGTH_UNKNOWN } from "./h2-heads.ts";
import type { SendQueue } from "./h2-send-queue.ts";
import type { Sink } from "./message.ts";

/** What a stream asks of its connection. */
export interface H2StreamOwner {
  sendData(stream: H2Stream, buffer: Buffer, start: number, end: number, last: boolean): void;
  sendTrailers(stream: H2Stream, fields: HeaderField[]): void;
  /** The far side has passed on `bytes` that this stream delivered. */
  creditFrom(stream: H2Stream, bytes: number): void;
  resetFrom(stream: H2Stream, error: ProxyError): void;
}

/**
 * One stream, of either role: the sink through which the exchange sends towards the peer.
 *
 * Its state is two pairs of facts rather than a name: whether our direction was finished by the exchange (`sendEnded`) and
 * on the wire (`localEnded`), whether the peer's is (`remoteEnded`), and whether all is over (`closed`). The connection
 * alone changes them.
 *
 * Source: RFC 9113 section 5.1.
 */
export class H2Stream implements Sink {
  readonly owner: H2StreamOwner;
  /** 0 while it waits for a place among the peer's streams. */
  id: number;
  /** Where what the peer sends goes: the request sink of a service, or the response sink of a caller. */
  far: Sink | undefined = undefined;

  sendEnded = false;
  localEnded = false;
  remoteEnded = false;
  closed = false;
  /** Server: a response head has been sent. Client: a final one has come. */
  answered = false;

  /** What we may send; below zero after the peer shrank its window. */
  sendWindow: number;
  /** What the peer may send; made with its first DATA. */
  window: ReceiveWindow | undefined = undefined;
  /** Bytes delivered to `far` that it has not given credit for. */
  uncredited = 0;
  /** Credit for `far` from before it was known. */
  creditDue = 0;
  /** Content still to come by content-length, or `LENGTH_UNKNOWN`. */
  contentLeft = LENGTH_UNKNOWN;

  queue: SendQueue | undefined = undefined;
  /** Bytes of the queue that `far` has credit for already. */
  ahead = 0;
  /** Trailers that wait behind the queue. */
  trailersDue: HeaderField[] | undefined = undefined;
  /** Once our direction ended on the wire, this RST_STREAM code stops what the peer still sends. */
  resetAfterEnd: number | undefined = undefined;
  /** Whether it is in the connection's list of streams with something to send, and its successor there. */
  waiting = false;
  nextWaiting: H2Stream | undefined = undefined;

  /** Server: number in the sample of resets, and when it was opened. */
  sample = 0;
  openedAtMs = 0;

  constructor(owner: H2StreamOwner, id: number, sendWindow: number) {
    this.owner = owner;
    this.id = id;
    this.sendWindow = sendWindow;
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (!this.closed && !this.sendEnded) this.owner.sendData(this, buffer, start, end, last);
  }

  trailers(fields: HeaderField[]): void {
    if (!this.closed && !this.sendEnded) this.owner.sendTrailers(this, fields);
  }

  credit(bytes: number): void {
    if (this.uncredited > 0) this.owner.creditFrom(this, bytes);
  }

  reset(error: ProxyError): void {
    this.owner.resetFrom(this, error);
  }
}
