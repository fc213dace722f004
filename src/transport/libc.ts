import type * as ffiModule from "node:ffi";
import type { Server, Socket } from "node:net";

/** The system calls for which Node has no interface. `fd` must be an open descriptor of this process. */
export interface Libc {
  /** Fills `value`; returns 0, or the errno. */
  getsockopt(fd: number, level: number, name: number, value: Buffer): number;
  /** Sets an option made of one or more integers (`int`, `struct linger`); returns 0, or the errno. */
  setsockopt(fd: number, level: number, name: number, ...values: readonly number[]): number;
  /** Sets an attribute of this process; returns 0, or the errno. */
  prctl(option: number, value: number): number;
}

/** The C library, or why it cannot be called. */
export type LibcState =
  | { readonly kind: "available"; readonly libc: Libc }
  | { readonly kind: "missing"; readonly reason: string };

/** The part of `node:ffi` used here. */
type Ffi = Pick<typeof ffiModule, "dlopen" | "getInt32">;

let state: LibcState | undefined;

/** Loads the C library on first use. Its absence (another platform, a runtime without `node:ffi`) is a reason, not an error. */
export function loadLibc(): LibcState {
  state ??= openLibc();
  return state;
}

function openLibc(): LibcState {
  if (process.platform !== "linux")
    return missing(`socket options are known for Linux, not for ${process.platform}`);
  let ffi: Ffi | undefined;
  try {
    // A runtime that lacks the module, or has it switched off, gives undefined or throws.
    ffi = process.getBuiltinModule("node:ffi") as Ffi | undefined;
  } catch (error) {
    return missing(error instanceof Error ? error.message : String(error));
  }
  if (ffi === undefined) return missing(`this runtime (Node ${process.versions.node}) has no node:ffi`);
  try {
    return { kind: "available", libc: bindLibc(ffi) };
  } catch (error) {
    return missing(
      `the C library cannot be opened: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function missing(reason: string): LibcState {
  return { kind: "missing", reason };
}

function bindLibc(ffi: Ffi): Libc {
  // The process itself is linked with the C library: null opens what is already there.
  const { functions } = ffi.dlopen(null, {
    getsockopt: { return: "i32", arguments: ["i32", "i32", "i32", "pointer", "pointer"] },
    setsockopt: { return: "i32", arguments: ["i32", "i32", "i32", "pointer", "u32"] },
    prctl: { return: "i32", arguments: ["i32", "u64", "u64", "u64", "u64"] },
    __errno_location: { return: "pointer", arguments: [] },
  });
  const length = Buffer.alloc(4);
  const integers = Buffer.alloc(8);
  // Valid until the next system call of this thread, which is none of ours: both calls follow each other directly.
  const errno = (): number => ffi.getInt32(functions.__errno_location());
  return {
    getsockopt(fd, level, name, value) {
      writeHostInt32(length, value.length, 0);
      return functions.getsockopt(fd, level, name, value, length) === 0 ? 0 : errno();
    },
    setsockopt(fd, level, name, ...values) {
      values.forEach((value, i) => writeHostInt32(integers, value, i * 4));
      return functions.setsockopt(fd, level, name, integers, values.length * 4) === 0 ? 0 : errno();
    },
    prctl: (option, value) => (functions.prctl(option, BigInt(value), 0n, 0n, 0n) === 0 ? 0 : errno()),
  };
}

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

function writeHostInt32(to: Buffer, value: number, at: number): void {
  if (littleEndian) to.writeInt32LE(value, at);
  else to.writeInt32BE(value, at);
}

/** Reads what the kernel wrote as a 16-bit integer of its own byte order. */
export function readHostUint16(from: Buffer, at: number): number {
  return littleEndian ? from.readUInt16LE(at) : from.readUInt16BE(at);
}

/** The descriptor of a socket or server; undefined once it is closed. */
export function descriptorOf(holder: Server | Socket): number | undefined {
  // Node has had `_handle.fd` on POSIX systems for ever but does not document it: checked before it is used.
  const handle = (holder as { _handle?: { fd?: unknown } | null })._handle;
  return typeof handle?.fd === "number" && handle.fd >= 0 ? handle.fd : undefined;
}
