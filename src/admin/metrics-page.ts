import { pipeline, Readable } from "node:stream";
import { constants, createGzip } from "node:zlib";
import { headerName, internField } from "../wire/header-field.ts";
import { TEXT_PLAIN, type AdminRequest, type AdminResponse } from "./response.ts";

const GZIP = internField(headerName("content-encoding"), "gzip");

/**
 * `/metrics`: the page in pieces, compressed off this thread where the client takes gzip. The content type carries no
 * version: half of the page is in the older format, and scrapers must not read it as OpenMetrics.
 *
 * Source: linkerd2-proxy, linkerd/metrics/src/serve.rs.
 */
export function metricsPage(request: AdminRequest, pieces: AsyncIterable<string>): AdminResponse {
  const gzip = request.header("accept-encoding").some((value) => value.includes("gzip"));
  if (!gzip) return { status: 200, fields: [TEXT_PLAIN], body: encoded(pieces) };
  return { status: 200, fields: [TEXT_PLAIN, GZIP], body: zipped(encoded(pieces)) };
}

async function* encoded(pieces: AsyncIterable<string>): AsyncGenerator<Buffer> {
  for await (const piece of pieces) yield Buffer.from(piece);
}

async function* zipped(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  // A page shrinks to about a tenth at any level; the lowest costs a third of the time.
  const zip = createGzip({ level: constants.Z_BEST_SPEED });
  // Whatever fails destroys the compressor, and reading from it then throws here.
  pipeline(Readable.from(pieces), zip, () => {});
  // The compressor emits only buffers: it was given no encoding.
  for await (const chunk of zip) yield chunk as Buffer;
}
