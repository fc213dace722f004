import type { ProxyError } from "../errors/proxy-error.ts";
import type { HeaderField } from "../wire/header-field.ts";
import type { ResponseHead, ResponseSink } from "./message.ts";

/**
 * A response on its way through a layer, unchanged: a layer extends it and overrides what it looks at.
 *
 * Layers that have nothing to do with a response do not wrap it at all (rules of `message.ts`).
 */
export abstract class PassingResponse implements ResponseSink {
  protected readonly response: ResponseSink;

  constructor(response: ResponseSink) {
    this.response = response;
  }

  head(head: ResponseHead, last: boolean): void {
    this.response.head(head, last);
  }
  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.response.data(buffer, start, end, last);
  }
  trailers(fields: HeaderField[]): void {
    this.response.trailers(fields);
  }
  reset(error: ProxyError): void {
    this.response.reset(error);
  }
  credit(bytes: number): void {
    this.response.credit(bytes);
  }
}
