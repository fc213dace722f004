import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseNetstat, parseOpenFilesLimit, parseProcStat } from "../../src/metrics/process-metrics.ts";

describe("what /proc tells of the process", () => {
  it("finds threads and virtual memory behind a name with blanks and parentheses", () => {
    const fields = Array.from({ length: 50 }, (_, i) => String(i + 3));
    assert.deepEqual(parseProcStat(`7 (a b) c) ${fields.join(" ")}`), { threads: 20, virtualBytes: 23 });
  });

  it("finds the soft limit of open files", () => {
    assert.equal(
      parseOpenFilesLimit("Limit  Soft\nMax open files            1024                 4096   files\n"),
      1024,
    );
    assert.equal(parseOpenFilesLimit("Max open files            unlimited            unlimited  files\n"), 0);
    assert.equal(parseOpenFilesLimit(""), undefined);
  });

  it("finds octets by the name of their column", () => {
    assert.deepEqual(
      parseNetstat("TcpExt: A B\nTcpExt: 1 2\nIpExt: X InOctets OutOctets\nIpExt: 0 10 20\n"),
      { received: 10, sent: 20 },
    );
    assert.equal(parseNetstat("TcpExt: A\nTcpExt: 1\n"), undefined);
  });
});
