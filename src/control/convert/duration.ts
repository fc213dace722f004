import type { Duration } from "@bufbuild/protobuf/wkt";
import { invalid } from "./field.ts";

/** 10,000 years: what `google.protobuf.Duration` allows. */
const SECONDS_MAX = 315_576_000_000n;

/** Milliseconds, with a fraction where the message has one. Negative and out-of-range durations are problems, never zero. */
export function millisFromProto(duration: Duration): number {
  const { seconds, nanos } = duration;
  if (seconds < 0n || nanos < 0) return invalid("is a negative duration");
  if (seconds > SECONDS_MAX || nanos > 999_999_999) return invalid("is not a valid duration");
  return Number(seconds) * 1000 + nanos / 1e6;
}

/** The same where a bad duration only means that there is none. */
export function millisIfValid(duration: Duration | undefined): number | undefined {
  if (duration === undefined) return undefined;
  const { seconds, nanos } = duration;
  const valid = seconds >= 0n && nanos >= 0 && seconds <= SECONDS_MAX && nanos <= 999_999_999;
  return valid ? Number(seconds) * 1000 + nanos / 1e6 : undefined;
}
