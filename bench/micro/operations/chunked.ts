import assert from "node:assert/strict";
import { ChunkedDecoder, ChunkStep } from "../../../src/wire/http1/chunked.ts";
import { operation, type Operation } from "../operation.ts";

/** Whole bodies in one read: what their frame costs, as their content is not touched. */
export function chunked(): readonly Operation[] {
  return [
    decode("HTTP/1 chunked: body of 4 chunks of 4 KiB", 4, 4_096, []),
    decode("HTTP/1 chunked: body of 16 chunks of 32 bytes", 16, 32, []),
    decode("HTTP/1 chunked: body of one chunk of 32 bytes and 2 trailers", 1, 32, [
      "grpc-status: 0",
      "x-checksum: 9a0364b9e99bb480dd25e1f0284c8555",
    ]),
  ];
}

function decode(name: string, chunks: number, size: number, trailers: readonly string[]): Operation {
  const chunk = `${size.toString(16)}\r\n${"x".repeat(size)}\r\n`;
  const body = Buffer.from(
    `${chunk.repeat(chunks)}0\r\n${trailers.map((line) => `${line}\r\n`).join("")}\r\n`,
    "latin1",
  );
  const decoder = new ChunkedDecoder();
  return operation(
    name,
    () => {
      decoder.reset();
      decoder.position = 0;
      let content = 0;
      for (;;) {
        const step = decoder.next(body, decoder.position, body.length);
        if (step !== ChunkStep.data) return step === ChunkStep.end ? content : -1;
        content += decoder.dataEnd - decoder.dataStart;
      }
    },
    (content) => {
      assert.equal(content, chunks * size);
      assert.equal(decoder.position, body.length);
      assert.equal(decoder.trailers.length, trailers.length);
    },
  );
}
