import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { SocketAddr } from "../addr/socket-addr.ts";
import { formatSocketAddr } from "../addr/socket-addr.ts";
import { errorFromNode } from "../errors/from-node.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { beginRead, endRead } from "../time/clock.ts";
import { descriptorOf } from "./libc.ts";
import { Output, type OutputOwner } from "./output.ts";
import { readMode, shareReads } from "./shared-reads.ts";
import { socketAddrs } from "./socket-addrs.ts";
import { resetOnClose } from "./socket-options.ts";
import type { ByteHandler, Transport } from "./transport.ts";

/**
 * A TCP or TLS socket as a `Transport`.
 *
 * Promises beyond the interface: between `pause` and `resume` no bytes and no end are delivered; bytes that had already
 * been read then are kept (at most what one read brought) and come first after `resume`, in a later tick. A handler attached
 * after the peer's end or the close is told of it too, in a later tick, even if a former one was. After `destroy`, `onClose` is the only call that follows. A handler that throws loses its connection, not the process.
 * Output after `end` or `destroy` is dropped.
 */
export class SocketTransport implements Transport, OutputOwner {
  readonly peerAddr: SocketAddr;
  readonly localAddr: SocketAddr;
  /** The socket underneath, for certificates, ALPN and descriptors. Reading, writing and closing go through the transport. */
  readonly socket: Socket;
  /** Bytes delivered or kept for delivery so far; above TLS. */
  bytesRead = 0;

  readonly #output: Output;
  #handler: ByteHandler | undefined = undefined;
  #started = false;
  #paused = false;
  /** Bytes read while paused, or before the first handler; undefined while there are none, the usual case. */
  #kept: Buffer[] | undefined = undefined;
  #deliveryDue = false;
  #endDue = false;
  /** A handler was told of the end; a later one will be told again. */
  #endTold = false;
  #closed = false;
  #closeTold = false;
  /** We closed it or gave it up: nothing that was read is owed to anybody. */
  #dropped = false;
  #error: ProxyError | undefined = undefined;
  readonly #endListener: () => void;
  readonly #closeListener: () => void;
  readonly #dataListener: (chunk: Buffer) => void;

  /** @param socket connected, for TLS with the handshake done, and paused or without a `data` listener. */
  constructor(socket: Socket, peerAddr: SocketAddr, localAddr: SocketAddr) {
    this.socket = socket;
    this.peerAddr = peerAddr;
    this.localAddr = localAddr;
    this.#output = new Output(socket, this, !(socket instanceof TLSSocket));
    // A FIN from the peer must not end our direction, whoever made the socket.
    socket.allowHalfOpen = true;
    this.#endListener = () => this.#onEnd();
    this.#closeListener = () => this.#onClose();
    this.#dataListener = (chunk) => this.#receive(chunk, 0, chunk.length, true);
    socket.on("error", (error: Error) => this.#onError(error));
    socket.on("end", this.#endListener);
    socket.on("close", this.#closeListener);
  }

  attach(handler: ByteHandler): void {
    this.#handler = handler;
    this.#closeTold = false;
    if (this.#endTold && !this.#dropped) this.#endDue = true;
    if (!this.#started && !this.#closed) this.#start();
    else if (this.#closed || (this.#endDue && !this.#paused)) this.#deliverSoon();
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    if (this.#started && !this.#closed) this.socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#started) return;
    if (this.#kept !== undefined || this.#endDue || this.#closed) this.#deliverSoon();
    else this.socket.resume();
  }

  get buffer(): Buffer {
    return this.#output.buffer;
  }

  reserve(size: number): number {
    return this.#output.reserve(size);
  }

  commit(offset: number): void {
    this.#output.commit(offset);
  }

  write(buffer: Buffer, start: number, end: number): void {
    this.#output.write(buffer, start, end);
  }

  writeLatin1(text: string): void {
    this.#output.writeLatin1(text);
  }

  get blocked(): boolean {
    return this.#output.blocked;
  }

  /** Bytes given to the socket so far; above TLS. */
  get bytesWritten(): number {
    return this.#output.bytesWritten;
  }

  /** Output bytes that the kernel has not taken yet. */
  get waitingBytes(): number {
    return this.#output.waitingBytes;
  }

  flush(): void {
    this.#output.flush();
  }

  end(): void {
    if (this.socket.destroyed) return;
    this.#output.finish();
    this.socket.end();
  }

  destroy(error?: ProxyError): void {
    if (this.socket.destroyed) return;
    this.#error ??= error;
    this.#drop();
    this.socket.destroy();
  }

  /** Where the platform cannot reset under TLS, the connection closes without `close_notify`, which is a truncation too. */
  reset(): void {
    if (this.socket.destroyed) return;
    this.#drop();
    const { socket } = this;
    if (!(socket instanceof TLSSocket)) {
      socket.resetAndDestroy();
      return;
    }
    // Node resets plain TCP handles only. Without the RST a peer that overlooks a missing close_notify, as Node does,
    // would take a broken stream for a finished one.
    const fd = descriptorOf(socket);
    if (fd !== undefined) resetOnClose(fd);
    socket.destroy();
  }

  get destroyed(): boolean {
    return this.socket.destroyed;
  }

  /**
   * Gives the socket up, paused, with `prefix` and everything kept put back before its next bytes: ready for
   * `tlsServer.emit("connection", socket)`. The transport is dead afterwards and calls no handler again.
   *
   * @param prefix bytes delivered to the handler that the next reader must see again; copied.
   * @throws ProxyError `io` if the peer has already finished or left: there is nobody to hand over.
   */
  releaseSocket(prefix: Buffer): Socket {
    if (this.#closed || this.socket.destroyed || this.#endDue || this.socket.readableEnded) {
      this.destroy();
      throw new ProxyError("io", `${this.#describe()}: closed by the peer`, { side: "downstream" });
    }
    if (this.#output.waitingBytes > 0) throw new Error("a socket with unsent output cannot be released");
    const putBack = Buffer.concat([prefix, ...(this.#kept ?? [])]);
    this.#drop();
    this.#handler = undefined;
    const socket = this.socket;
    socket.pause();
    // The error listener stays: an error nobody listens to would end the process.
    socket.off("end", this.#endListener);
    socket.off("close", this.#closeListener);
    socket.off("data", this.#dataListener);
    if (putBack.length > 0) socket.unshift(putBack);
    return socket;
  }

  onOutputDrained(): void {
    if (this.#dropped) return;
    try {
      this.#handler?.onDrain();
    } catch (error) {
      this.#fail(error);
    }
  }

  onOutputBroken(error: unknown): void {
    this.#fail(error);
  }

  #start(): void {
    this.#started = true;
    const socket = this.socket;
    const shared =
      readMode() === "onread" &&
      shareReads(socket, (buffer, length) => this.#receive(buffer, 0, length, false));
    // What was read before us, for instance together with the end of a TLS handshake.
    while (socket.readableLength > 0) {
      const chunk: unknown = socket.read();
      // A socket without an encoding gives Buffers; null means that nothing more can be had.
      if (!(chunk instanceof Buffer)) break;
      this.bytesRead += chunk.length;
      (this.#kept ??= []).push(chunk);
    }
    if (!shared) socket.on("data", this.#dataListener);
    if (socket.readableEnded) this.#endDue = true;
    if (this.#paused) socket.pause();
    else if (this.#kept !== undefined || this.#endDue) this.#deliverSoon();
    else socket.resume();
  }

  #receive(buffer: Buffer, start: number, end: number, owned: boolean): void {
    if (this.#dropped) return;
    this.bytesRead += end - start;
    if (this.#paused || this.#kept !== undefined) {
      (this.#kept ??= []).push(owned ? buffer : Buffer.from(buffer.subarray(start, end)));
      return;
    }
    beginRead();
    try {
      this.#handler?.onBytes(buffer, start, end);
    } catch (error) {
      this.#fail(error);
    } finally {
      endRead();
    }
  }

  #onEnd(): void {
    if (this.#dropped) return;
    this.#endDue = true;
    if (!this.#paused && this.#kept === undefined) this.#deliver();
  }

  #onError(error: Error): void {
    this.#error ??= errorFromNode(error, this.#describe());
  }

  #onClose(): void {
    this.#closed = true;
    this.#output.discard();
    if (this.#error !== undefined) this.#drop();
    // After an orderly close, what the peer had sent before it is still owed to a paused handler.
    if (this.#kept === undefined && !this.#endDue) this.#tellClose();
    else if (!this.#paused) this.#deliverSoon();
  }

  #tellClose(): void {
    if (this.#closeTold || this.#handler === undefined) return;
    this.#closeTold = true;
    this.#handler.onClose(this.#error);
  }

  #deliverSoon(): void {
    if (this.#deliveryDue) return;
    this.#deliveryDue = true;
    process.nextTick(() => {
      this.#deliveryDue = false;
      this.#deliver();
    });
  }

  /** Delivers what is owed: kept bytes, the end, the close; in this order and as far as the handler does not pause again. */
  #deliver(): void {
    try {
      while (this.#kept !== undefined && !this.#paused) {
        const chunk = this.#kept.shift();
        if (chunk === undefined) this.#kept = undefined;
        else this.#handler?.onBytes(chunk, 0, chunk.length);
      }
      if (this.#endDue && !this.#paused) {
        this.#endDue = false;
        this.#endTold = true;
        this.#handler?.onEnd();
      }
    } catch (error) {
      this.#fail(error);
    }
    if (this.#kept !== undefined || this.#endDue) return;
    if (this.#closed) this.#tellClose();
    else if (!this.#paused && !this.#dropped) this.socket.resume();
  }

  #drop(): void {
    this.#dropped = true;
    this.#kept = undefined;
    this.#endDue = false;
    this.#output.discard();
  }

  #fail(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.destroy(
      new ProxyError("unexpected", `${this.#describe()}: ${text}`, { cause: error, side: "proxy" }),
    );
  }

  #describe(): string {
    return `connection with ${formatSocketAddr(this.peerAddr)}`;
  }
}

/**
 * Makes a transport of a connected socket, plain or TLS.
 *
 * @throws ProxyError `io` if the peer has left already, so that the socket has no addresses any more.
 */
export function transportOf(socket: Socket): SocketTransport {
  const addrs = socketAddrs(socket);
  if (!addrs.ok) {
    socket.on("error", () => {});
    socket.destroy();
    throw new ProxyError("io", addrs.problem);
  }
  return new SocketTransport(socket, addrs.value.peer, addrs.value.local);
}
