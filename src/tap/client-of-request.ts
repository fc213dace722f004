import type { SocketAddr } from "../addr/socket-addr.ts";
import type { HttpService, RequestHead, ResponseSink, Sink } from "../http/message.ts";

/**
 * Notes on each request who sent it: client stacks, where requests are tapped, are shared by many connections.
 *
 * One per connection, and only in a proxy that can be tapped.
 */
export class ClientOfRequest implements HttpService {
  readonly #inner: HttpService;
  readonly #client: SocketAddr;

  constructor(inner: HttpService, client: SocketAddr) {
    this.#inner = inner;
    this.#client = client;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    head.client = this.#client;
    return this.#inner.call(head, last, response);
  }
}
