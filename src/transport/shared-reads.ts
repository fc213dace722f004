import { systemClock } from "../time/clock.ts";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { poisonFreed } from "./poison.ts";

/**
 * One read buffer for all connections: a read costs no allocation (bench: about 4 us saved a read). Its bytes are valid
 * until the callback returns, because the next read of any connection overwrites them. 64 KiB is what libuv asks for.
 */
const SHARED_READ_BYTES = 64 * 1024;

const sharedBuffer = Buffer.allocUnsafeSlow(SHARED_READ_BYTES);

/** How connections are read: through the shared buffer (`onread`), or by Node's `data` events with a buffer per read. */
export type ReadMode = "onread" | "data";

/** What the probe at start found, for the log. */
export interface ReadModeProbe {
  readonly mode: ReadMode;
  /** Why the shared buffer cannot be used; undefined if it can. */
  readonly reason: string | undefined;
}

let mode: ReadMode = "data";

/** The mode in which transports made from now on read. `data` until `probeReadMode` has run. */
export function readMode(): ReadMode {
  return mode;
}

/** Chooses the mode by hand, for tests that run in both. */
export function useReadMode(chosen: ReadMode): void {
  mode = chosen;
}

/** The three slots in which `net.Socket` keeps what its `onread` option says. */
interface OnreadSlots {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly generator: symbol;
}

let slots: OnreadSlots | undefined;

function findSlots(socket: Socket): OnreadSlots | undefined {
  const named = new Map(Object.getOwnPropertySymbols(socket).map((s) => [s.description, s]));
  const buffer = named.get("kBuffer");
  const callback = named.get("kBufferCb");
  const generator = named.get("kBufferGen");
  if (buffer === undefined || callback === undefined || generator === undefined) return undefined;
  return { buffer, callback, generator };
}

/**
 * Makes a live socket read into the shared buffer from its next read on.
 *
 * Node documents this as the `onread` option of `net.connect` and `tls.connect`; accepted sockets and the server side
 * of TLS have no such option though they run the same code. So the option is set after the fact, in the way the
 * constructor does it: three private slots and one method of the handle. This file is the only one that knows, the
 * probe at start tries it on a real connection, and where it fails transports use `data` events.
 *
 * @param onRead gets the buffer and the number of bytes read into its beginning.
 * @returns false if this socket cannot; it is unchanged then.
 */
export function shareReads(socket: Socket, onRead: (buffer: Buffer, length: number) => void): boolean {
  // Node guarantees nothing here: the shape is checked before it is used.
  const handle = (socket as { _handle?: { useUserBuffer?: (buffer: Buffer) => void } | null })._handle;
  if (typeof handle?.useUserBuffer !== "function") return false;
  slots ??= findSlots(socket);
  if (slots === undefined || !(slots.buffer in socket)) return false;
  handle.useUserBuffer(sharedBuffer);
  Reflect.set(socket, slots.generator, null);
  Reflect.set(socket, slots.callback, (length: number, buffer: Buffer) => {
    onRead(buffer, length);
    // As the next read will overwrite it, of whichever connection.
    poisonFreed(buffer, length);
    return true;
  });
  Reflect.set(socket, slots.buffer, sharedBuffer);
  return true;
}

/** How long the probe may take before the answer is "no". */
const PROBE_TIMEOUT_MS = 2000;

/**
 * Finds out on a loopback connection whether an accepted socket can read into the shared buffer, and sets the mode.
 *
 * Called once at start. It never fails: where anything is unexpected the mode is `data`, which is slower and as correct.
 */
export async function probeReadMode(): Promise<ReadModeProbe> {
  const reason = await tryShareReads();
  mode = reason === undefined ? "onread" : "data";
  return { mode, reason };
}

function tryShareReads(): Promise<string | undefined> {
  const sent = Buffer.from("outrigger");
  return new Promise((resolve) => {
    const sockets: Socket[] = [];
    const finish = (reason: string | undefined): void => {
      timeout.cancel();
      for (const socket of sockets) socket.destroy();
      server.close();
      resolve(reason);
    };
    const timeout = systemClock.after(PROBE_TIMEOUT_MS, () => {
      finish("nothing was read from a loopback connection");
    });
    const fail = (error: Error): void => finish(error.message);
    const server = createServer({ pauseOnConnect: true }, (accepted) => {
      sockets.push(accepted);
      accepted.on("error", fail);
      const shared = shareReads(accepted, (buffer, length) => {
        const same = buffer === sharedBuffer && sent.equals(buffer.subarray(0, length));
        finish(same ? undefined : "a loopback connection was read into another buffer");
      });
      if (!shared) return finish("this runtime's sockets do not take a read buffer");
      accepted.on("data", () => finish("a loopback connection was read into another buffer"));
      accepted.resume();
    });
    server.on("error", fail);
    server.listen(0, "127.0.0.1", () => {
      // A TCP server's address is never a string.
      const { port } = server.address() as AddressInfo;
      const client = connect({ port, host: "127.0.0.1" }, () => client.write(sent));
      client.on("error", fail);
      sockets.push(client);
    });
  });
}
