import assert from "node:assert/strict";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { formatSocketAddr, parseSocketAddr, type SocketAddr } from "../../src/addr/socket-addr.ts";
import { loadLibc, type Libc } from "../../src/transport/libc.ts";
import { fixed } from "../../src/transport/orig-dst/fixed.ts";
import { origDstFromKernel } from "../../src/transport/orig-dst/from-kernel.ts";
import { localAddress } from "../../src/transport/orig-dst/local-address.ts";
import type { OrigDst, Redirected } from "../../src/transport/orig-dst/orig-dst.ts";
import { readSockaddr, soOriginalDst } from "../../src/transport/orig-dst/so-original-dst.ts";
import { unavailable } from "../../src/transport/orig-dst/unavailable.ts";
import { descriptorOf } from "../../src/transport/libc.ts";
import { socketPair } from "./loopback.ts";

function addr(text: string): SocketAddr {
  const result = parseSocketAddr(text);
  assert.ok(result.ok);
  return result.value;
}

// What a kernel wrote for 10.77.0.2:8080 and [fd77::2]:8080, on a little-endian machine.
const SOCKADDR_V4 = Buffer.from("02001f900a4d00020000000000000000", "hex");
const SOCKADDR_V6 = Buffer.from("0a001f9000000000fd77000000000000000000000000000200000000", "hex");

/** A C library that knows one redirection per family, and remembers what it was asked. */
function kernel(): Pick<Libc, "getsockopt"> & { asked: number[][] } {
  const asked: number[][] = [];
  return {
    asked,
    getsockopt(fd, level, name, value) {
      asked.push([fd, level, name, value.length]);
      (level === 0 ? SOCKADDR_V4 : SOCKADDR_V6).copy(value);
      return 0;
    },
  };
}

const v4Client: Redirected = { peerAddr: addr("192.0.2.7:40000"), localAddr: addr("10.77.0.9:4143"), fd: 21 };
const v6Client: Redirected = {
  peerAddr: addr("[2001:db8::7]:40000"),
  localAddr: addr("[fd77::9]:4143"),
  fd: 22,
};

/** What every provider promises, whatever it knows. */
const providers: readonly (readonly [OrigDst, (socket: Redirected) => string])[] = [
  [soOriginalDst(kernel()), (s) => (s === v4Client ? "10.77.0.2:8080" : "[fd77::2]:8080")],
  [localAddress, (s) => formatSocketAddr(s.localAddr)],
  [fixed(addr("198.51.100.1:80")), () => "198.51.100.1:80"],
  [unavailable("no luck"), () => "the original destination is unknown: no luck"],
];

for (const [provider, expected] of providers) {
  describe(`the original destination by ${provider.name}`, () => {
    for (const socket of [v4Client, v6Client]) {
      it(`is an address or a reason for a client at ${formatSocketAddr(socket.peerAddr)}`, () => {
        const result = provider.lookup(socket);
        assert.equal(result.ok ? formatSocketAddr(result.value) : result.problem, expected(socket));
      });
    }

    it("is the same at every look", () => {
      assert.deepEqual(provider.lookup(v4Client), provider.lookup(v4Client));
    });

    it("does not share its answers' bytes between connections", () => {
      const first = provider.lookup(v4Client);
      const text = first.ok ? formatSocketAddr(first.value) : "";
      provider.lookup(v6Client);
      provider.lookup({ ...v4Client, localAddr: addr("10.77.0.8:1") });
      assert.equal(first.ok ? formatSocketAddr(first.value) : "", text);
    });

    it("throws nothing for a connection that is closed already", () => {
      assert.doesNotThrow(() => provider.lookup({ ...v4Client, fd: undefined }));
    });
  });
}

describe("soOriginalDst", () => {
  it("asks by the family of the client, so that IPv4 on a dual-stack listener is asked as IPv4", () => {
    const libc = kernel();
    const provider = soOriginalDst(libc);
    provider.lookup(v4Client);
    provider.lookup(v6Client);
    assert.deepEqual(libc.asked, [
      [21, 0, 80, 16],
      [22, 41, 80, 28],
    ]);
  });

  it("names the errno", () => {
    const failing = (errno: number): string => {
      const result = soOriginalDst({ getsockopt: () => errno }).lookup(v4Client);
      return result.ok ? "" : result.problem;
    };
    assert.match(failing(2), /ENOENT: the kernel tracks no redirection/);
    assert.match(failing(92), /ENOPROTOOPT/);
    assert.equal(failing(5), "SO_ORIGINAL_DST: errno 5");
  });

  it("refuses an answer of an unknown family", () => {
    assert.equal(readSockaddr(Buffer.alloc(16)).ok, false);
  });

  it("gets an answer or a reason from the real kernel", async (t) => {
    const state = loadLibc();
    if (state.kind === "missing") return t.skip(state.reason);
    const { accepted } = await socketPair();
    const fd = descriptorOf(accepted);
    assert.ok(fd !== undefined);
    const { provider, problem } = origDstFromKernel();
    assert.equal(problem, undefined);
    assert.equal(provider.name, "SO_ORIGINAL_DST");
    const local = addr(`127.0.0.1:${accepted.localPort ?? 0}`);
    const result = provider.lookup({
      fd,
      peerAddr: addr(`127.0.0.1:${accepted.remotePort ?? 0}`),
      localAddr: local,
    });
    // With NAT rules loaded the kernel tracks this connection too and tells its own address; else it has none to tell.
    if (result.ok) assert.equal(formatSocketAddr(result.value), formatSocketAddr(local));
    else assert.match(result.problem, /^SO_ORIGINAL_DST: (ENOENT|ENOPROTOOPT)/);
    const closed = provider.lookup({ fd: 1_000_000, peerAddr: local, localAddr: local });
    assert.ok(!closed.ok && closed.problem.startsWith("SO_ORIGINAL_DST: EBADF"));
  });
});

describe("descriptorOf", () => {
  it("is undefined for a server that does not listen", () => {
    assert.equal(descriptorOf(createServer()), undefined);
  });
});
