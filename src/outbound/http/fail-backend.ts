import { ProxyError } from "../../errors/proxy-error.ts";
import { DiscardSink, type RequestHead, type ResponseSink, type Sink } from "../../http/message.ts";
import type { HttpBackend } from "./backend.ts";

/** A backend that policy gives no way to reach: every request fails with its message. */
export class FailBackend implements HttpBackend {
  readonly available = true;
  readonly #message: string;

  constructor(message: string) {
    this.#message = message;
  }

  call(_head: RequestHead, _last: boolean, response: ResponseSink): Sink {
    response.reset(new ProxyError("fail_dispatcher", this.#message, { side: "proxy" }));
    return new DiscardSink(response);
  }

  close(): void {}
}
