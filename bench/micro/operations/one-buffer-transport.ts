import type { SocketAddr } from "../../../src/addr/socket-addr.ts";
import { parseSocketAddr } from "../../../src/addr/socket-addr.ts";
import type { Transport } from "../../../src/transport/transport.ts";

const ADDR = addr("192.0.2.1:1000");

/** A transport that only gathers output, like the real one in place, and never sends it. */
export class OneBufferTransport implements Transport {
  readonly peerAddr = ADDR;
  readonly localAddr = ADDR;
  readonly buffer: Buffer = Buffer.alloc(64 * 1024);
  readonly blocked = false;
  readonly destroyed = false;
  /** Bytes gathered since `clear`. */
  waitingBytes = 0;

  clear(): void {
    this.waitingBytes = 0;
  }

  reserve(): number {
    return this.waitingBytes;
  }

  commit(offset: number): void {
    this.waitingBytes = offset;
  }

  write(buffer: Buffer, start: number, end: number): void {
    this.waitingBytes += buffer.copy(this.buffer, this.waitingBytes, start, end);
  }

  writeLatin1(text: string): void {
    this.waitingBytes += this.buffer.write(text, this.waitingBytes, text.length, "latin1");
  }

  attach(): void {}
  pause(): void {}
  resume(): void {}
  flush(): void {}
  end(): void {}
  destroy(): void {}
  reset(): void {}
}

function addr(text: string): SocketAddr {
  const parsed = parseSocketAddr(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.value;
}
