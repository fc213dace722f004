import { operation, type Operation } from "../operation.ts";
import { chunked } from "./chunked.ts";
import { firstBytes } from "./first-bytes.ts";
import { hpack } from "./hpack.ts";
import { headRoundTrip } from "./head-round-trip.ts";
import { http1Parse } from "./http1-parse.ts";
import { http1Write } from "./http1-write.ts";
import { http2Read } from "./http2-read.ts";
import { http2Write } from "./http2-write.ts";

/** What a turn of the measuring loop costs: every other number contains it. */
const NOTHING = operation(
  "loop: nothing",
  () => undefined,
  () => {},
);

/** Everything that is measured, in the order of the table. */
export function allOperations(): readonly Operation[] {
  return [
    NOTHING,
    ...http1Parse(),
    ...chunked(),
    ...http1Write(),
    ...hpack(),
    ...http2Read(),
    ...http2Write(),
    ...headRoundTrip(),
    ...firstBytes(),
  ];
}
