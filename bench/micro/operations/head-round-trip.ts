import assert from "node:assert/strict";
import { HeadReader } from "../../../src/http/h2-heads.ts";
import type { HeaderField } from "../../../src/wire/header-field.ts";
import { BlockResult, HpackDecoder } from "../../../src/wire/hpack/decoder.ts";
import { continuationsMax, FrameReader, type FrameHandler } from "../../../src/wire/http2/frame-reader.ts";
import { H2_HEADER_LIST_BYTES, HPACK_TABLE_BYTES } from "../../../src/wire/limits.ts";
import { operation, type Operation } from "../operation.ts";
import { HeadOutput } from "./head-output.ts";
import { fresh, GRPC_REQUEST, GRPC_RESPONSE, LIMITS, REQUEST_ID } from "./sample-fields.ts";

const STREAM_ID = 5;

/** From the bytes of one connection to those of the next: frame, HPACK, message head, HPACK, frame. */
export function headRoundTrip(): readonly Operation[] {
  return [
    head(),
    roundTrip("HTTP/2 head through: request of 8 indexed fields", true, GRPC_REQUEST),
    roundTrip("HTTP/2 head through: request of 8 indexed fields and a literal", true, [
      ...GRPC_REQUEST,
      fresh("x-request-id", REQUEST_ID),
    ]),
    roundTrip("HTTP/2 head through: response of 4 indexed fields", false, GRPC_RESPONSE),
  ];
}

/** The step in the middle alone: what a list says, checked. */
function head(): Operation {
  const reader = new HeadReader();
  return operation(
    "HTTP/2 head: request from 8 shared fields",
    () => reader.request(GRPC_REQUEST, 0),
    (request) => {
      assert.equal(request?.path, GRPC_REQUEST[3]);
      assert.deepEqual(request?.fields, GRPC_REQUEST.slice(4));
    },
  );
}

function roundTrip(name: string, isRequest: boolean, fields: readonly HeaderField[]): Operation {
  const list = [...fields];
  const source = new HeadOutput();
  const hop = new Hop(isRequest);
  const reader = new FrameReader(hop, continuationsMax(H2_HEADER_LIST_BYTES));
  const send = (): Buffer => Buffer.from(source.buffer.subarray(0, hop.pass(source, list)));
  // The first head makes the tables of both sides; the second is what all later ones look like.
  const first = send();
  reader.read(first, 0, first.length);
  hop.output.assertFrame(hop.end, fields);
  const bytes = send();
  return operation(
    name,
    () => {
      reader.read(bytes, 0, bytes.length);
      return hop;
    },
    ({ output, end }) => output.assertFrame(end, fields),
  );
}

/** What `H2Server` and `H2Client` do with a head between them, without the streams. */
class Hop implements FrameHandler {
  readonly output = new HeadOutput();
  /** Behind the last head in `output`. */
  end = 0;
  readonly #isRequest: boolean;
  readonly #decoder = new HpackDecoder(HPACK_TABLE_BYTES);
  readonly #heads = new HeadReader();
  readonly #list: HeaderField[] = [];

  constructor(isRequest: boolean) {
    this.#isRequest = isRequest;
  }

  onHeaderBlock(
    _streamId: number,
    _endStream: boolean,
    _dependsOnItself: boolean,
    buffer: Buffer,
    start: number,
    end: number,
  ): void {
    const list = this.#list;
    list.length = 0;
    if (this.#decoder.decode(buffer, start, end, list, LIMITS) !== BlockResult.ok) assert.fail("not HPACK");
    this.end = this.pass(this.output, list);
    list.length = 0;
  }

  /** Writes the head that a list describes. @returns its end. */
  pass(output: HeadOutput, list: readonly HeaderField[]): number {
    if (this.#isRequest) {
      const request = this.#heads.request(list, 0);
      if (request !== undefined) return output.request(request, STREAM_ID);
    } else {
      const response = this.#heads.response(list);
      if (response !== undefined) return output.response(response, STREAM_ID);
    }
    return assert.fail(this.#heads.problem);
  }

  onDataFrame(): void {
    assert.fail("a DATA frame");
  }

  onDataRange(): void {
    assert.fail("a DATA frame");
  }

  onFrame(): void {
    assert.fail("another frame");
  }

  onReadError(_code: number, problem: string): void {
    assert.fail(problem);
  }
}
