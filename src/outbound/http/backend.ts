import type { HttpService } from "../../http/message.ts";

/** Where a route sends requests: a balancer, a single endpoint, or a refusal. */
export interface HttpBackend extends HttpService {
  /** Whether a request would be taken: the queue has room and is not in failfast. */
  readonly available: boolean;
  close(): void;
}
