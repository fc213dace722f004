import type { Writable } from "node:stream";
import type { Config } from "../config/config.ts";
import type { AccessLogOutput } from "../http/access-log.ts";
import { LineWriter } from "../log/line-writer.ts";
import type { ProxyShared } from "./shared.ts";

/** The access log of the inbound side, while it is open. */
export interface OpenAccessLog extends AccessLogOutput {
  /** Writes what has gathered: before the process ends. */
  readonly flush: () => void;
}

/** @param stream where it goes; the process's stderr if undefined. @returns undefined where no access log is wanted. */
export function openAccessLog(
  { inbound: { accessLog: format } }: Config,
  { clock, families, logging: { log } }: ProxyShared,
  stream: Writable | undefined,
): OpenAccessLog | undefined {
  if (format === "off") return undefined;
  const dropped = families.outriggerAccessLogDroppedLinesTotal.cell([]);
  const writer = new LineWriter(stream ?? process.stderr, {
    clock,
    onDropped: (lines) => (dropped.value += lines),
    onLoss: (lines, reason) => log.warn("Lines of the access log were lost", { lines, reason }),
  });
  return { format, write: writer.write, flush: () => writer.flush() };
}
