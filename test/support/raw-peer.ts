import type { ByteHandler, Transport } from "../../src/transport/transport.ts";

/** The far end of a connection under test: sends exact bytes and keeps what comes back. */
export class RawPeer implements ByteHandler {
  received = "";
  ended = false;
  closed = false;
  readonly #transport: Transport;
  /** Called after bytes were received. */
  onReceived: (() => void) | undefined = undefined;

  constructor(transport: Transport) {
    this.#transport = transport;
    transport.attach(this);
  }

  send(text: string): void {
    const bytes = Buffer.from(text, "latin1");
    this.#transport.write(bytes, 0, bytes.length);
  }
  end(): void {
    this.#transport.end();
  }
  onBytes(buffer: Buffer, start: number, end: number): void {
    this.received += buffer.toString("latin1", start, end);
    this.onReceived?.();
  }
  onEnd(): void {
    this.ended = true;
  }
  onDrain(): void {}
  onClose(): void {
    this.closed = true;
  }

  /** The statuses of the responses received so far. */
  get statuses(): number[] {
    return [...this.received.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map((match) => Number(match[1]));
  }
}
