import { Metadata, status, type ServerWritableStream } from "@grpc/grpc-js";
import type { Log } from "../log/log.ts";
import type { ObserveRequest, TapEvent } from "../proto/gen/tap_pb.js";
import { TAPS_MAX, type TapRegistry } from "../tap/registry.ts";
import type { Tap } from "../tap/tap.ts";
import { tapEventToProto } from "./convert/tap-event.ts";
import { tapRequestFromProto } from "./convert/tap-request.ts";

/**
 * Serves one Observe call: events leave as fast as the observer reads them and wait in the tap, which is bounded, for as
 * long as it does not. The call ends when the tap is over; the tap ends when the observer leaves.
 *
 * Source: linkerd2-proxy, linkerd/proxy/tap/src/grpc/server.rs.
 */
export function serveObserve(
  taps: TapRegistry,
  log: Log,
  call: ServerWritableStream<ObserveRequest, TapEvent>,
): void {
  const refuse = (code: status, details: string): void => {
    log.warn("Refused a tap", { error: details });
    call.emit("error", { code, details });
  };
  const asked = tapRequestFromProto(call.request);
  if (!asked.ok) {
    refuse(status.INVALID_ARGUMENT, asked.problem);
    return;
  }
  const tap = taps.observe(asked.value, () => stream.advance());
  if (tap === undefined) {
    refuse(status.RESOURCE_EXHAUSTED, `${TAPS_MAX} taps are under way already`);
    return;
  }
  const stream = new EventStream(taps, tap, call);
  // The observer learns that it is let in before the first request comes along.
  call.sendMetadata(new Metadata());
  log.debug("Tap", { limit: asked.value.limit });
}

/** Moves events from a tap to its observer. */
class EventStream {
  readonly #taps: TapRegistry;
  readonly #tap: Tap;
  readonly #call: ServerWritableStream<ObserveRequest, TapEvent>;
  #blocked = false;
  #over = false;

  constructor(taps: TapRegistry, tap: Tap, call: ServerWritableStream<ObserveRequest, TapEvent>) {
    this.#taps = taps;
    this.#tap = tap;
    this.#call = call;
    call.on("drain", () => {
      this.#blocked = false;
      this.advance();
    });
    call.on("cancelled", () => this.#stop());
    call.on("close", () => this.#stop());
  }

  advance(): void {
    while (!this.#over && !this.#blocked) {
      const event = this.#tap.take();
      if (event === undefined) break;
      this.#blocked = !this.#call.write(tapEventToProto(event));
    }
    if (this.#over || !this.#tap.over) return;
    this.#stop();
    this.#call.end();
  }

  #stop(): void {
    this.#over = true;
    this.#taps.end(this.#tap);
  }
}
