import assert from "node:assert/strict";
import { HeadReader } from "../../../src/http/h2-heads.ts";
import { FRAME_HEADER_BYTES, FrameType } from "../../../src/wire/http2/frame.ts";
import {
  WINDOW_UPDATE_BYTES,
  writeFrameHeader,
  writeWindowUpdate,
} from "../../../src/wire/http2/frame-writer.ts";
import { operation, type Operation } from "../operation.ts";
import { HeadOutput } from "./head-output.ts";
import { GRPC_REQUEST, GRPC_RESPONSE } from "./sample-fields.ts";

/** Frames per run: one alone takes less time than calling a function. */
const FRAMES = 16;
const STREAM_ID = 77;

export function http2Write(): readonly Operation[] {
  return [frameHeader(), windowUpdate(), requestHead(), responseHead()];
}

function frameHeader(): Operation {
  const out = Buffer.alloc(FRAMES * FRAME_HEADER_BYTES);
  return operation(
    "HTTP/2 write: frame header",
    () => {
      let at = 0;
      for (let i = 0; i < FRAMES; i++) at = writeFrameHeader(out, at, 1_024, FrameType.data, 1, STREAM_ID);
      return at;
    },
    (end) => {
      assert.equal(end, out.length);
      assert.equal(out.toString("hex"), "00040000010000004d".repeat(FRAMES));
    },
    FRAMES,
  );
}

function windowUpdate(): Operation {
  const out = Buffer.alloc(FRAMES * WINDOW_UPDATE_BYTES);
  return operation(
    "HTTP/2 write: WINDOW_UPDATE",
    () => {
      let at = 0;
      for (let i = 0; i < FRAMES; i++) at = writeWindowUpdate(out, at, STREAM_ID, 16_384);
      return at;
    },
    (end) => {
      assert.equal(end, out.length);
      assert.equal(out.toString("hex"), "00000408000000004d00004000".repeat(FRAMES));
    },
    FRAMES,
  );
}

function requestHead(): Operation {
  const head = new HeadReader().request(GRPC_REQUEST, 0);
  assert.ok(head);
  const output = new HeadOutput();
  return operation(
    "HTTP/2 write: HEADERS of a request with 8 shared fields",
    () => output.request(head, STREAM_ID),
    (end) => output.assertFrame(end, GRPC_REQUEST),
  );
}

function responseHead(): Operation {
  const head = new HeadReader().response(GRPC_RESPONSE);
  assert.ok(head);
  const output = new HeadOutput();
  return operation(
    "HTTP/2 write: HEADERS of a response with 4 shared fields",
    () => output.response(head, STREAM_ID),
    (end) => output.assertFrame(end, GRPC_RESPONSE),
  );
}
