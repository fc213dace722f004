import type { ProxyError } from "../errors/proxy-error.ts";
import type { HeaderField } from "../wire/header-field.ts";
import type { Sink } from "./message.ts";

/**
 * The rest of a request on its way through a layer, unchanged: a layer extends it and overrides what it looks at.
 *
 * Layers that look at nothing but the head return the sink of the service below as it is (rules of `message.ts`).
 */
export abstract class PassingRequest implements Sink {
  protected readonly request: Sink;

  constructor(request: Sink) {
    this.request = request;
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.request.data(buffer, start, end, last);
  }
  trailers(fields: HeaderField[]): void {
    this.request.trailers(fields);
  }
  reset(error: ProxyError): void {
    this.request.reset(error);
  }
  credit(bytes: number): void {
    this.request.credit(bytes);
  }
}
