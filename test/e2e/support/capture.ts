/**
 * Records the frames of a network device, as its own program: `capture.ts DEVICE`. Needs root. Says "capturing" on standard
 * error, records until its input ends, and then writes all frames to standard output, one after the other.
 */
import { dlopen } from "node:ffi";
import { readFileSync } from "node:fs";

// Linux, include/linux/socket.h, include/uapi/linux/if_packet.h and if_ether.h.
const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETH_P_ALL = 3;
const SOCKADDR_LL_BYTES = 20;
const MSG_DONTWAIT = 0x40;
/** More than the largest frame, which segmentation offload makes as large as an IP packet can be. */
const FRAME_MAX_BYTES = 128 * 1024;
/** Often enough that the socket's own buffer does not overflow with the traffic of a test. */
const POLL_MS = 2;

const [device = ""] = process.argv.slice(2);
const { functions: libc } = dlopen(null, {
  socket: { return: "i32", arguments: ["i32", "i32", "i32"] },
  bind: { return: "i32", arguments: ["i32", "pointer", "u32"] },
  recv: { return: "i64", arguments: ["i32", "pointer", "u64", "i32"] },
});

const bigEndian = Buffer.alloc(2);
bigEndian.writeUInt16BE(ETH_P_ALL);
const hostOrder = new Uint16Array(Uint8Array.from(bigEndian).buffer)[0] ?? 0;
const fd = libc.socket(AF_PACKET, SOCK_RAW, hostOrder);
if (fd < 0) throw new Error("no packet socket: is this root?");

const address = Buffer.alloc(SOCKADDR_LL_BYTES);
new Uint16Array(address.buffer, address.byteOffset, 1)[0] = AF_PACKET;
bigEndian.copy(address, 2);
const index = Number(readFileSync(`/sys/class/net/${device}/ifindex`, "utf8"));
new Int32Array(address.buffer, address.byteOffset + 4, 1)[0] = index;
if (libc.bind(fd, address, address.length) !== 0) throw new Error(`cannot record ${device}`);

const frames: Buffer[] = [];
const frame = Buffer.alloc(FRAME_MAX_BYTES);
function drain(): void {
  for (;;) {
    const length = Number(libc.recv(fd, frame, BigInt(frame.length), MSG_DONTWAIT));
    if (length <= 0) return;
    frames.push(Buffer.from(frame.subarray(0, length)));
  }
}

const polling = setInterval(drain, POLL_MS);
process.stderr.write("capturing\n");
process.stdin.resume();
process.stdin.once("end", () => {
  clearInterval(polling);
  drain();
  process.stdout.write(Buffer.concat(frames));
});
