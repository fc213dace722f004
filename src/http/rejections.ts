import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import type { Log } from "../log/log.ts";
import type { Families } from "../metrics/families.ts";
import { httpRejectedLabels } from "../metrics/labels.ts";

/** What the two servers are told to do with messages that they refuse by themselves. */
export interface RejectionOptions {
  readonly onRefused: (status: number, problem: string) => void;
  readonly onRejected: (rejection: string, problem: string) => void;
}

/**
 * Counts what a codec refuses, and says why to whoever looks closely: such a message reaches no policy and no
 * application, so nothing else would tell of it.
 */
export function countRejections(
  families: Families,
  direction: "inbound" | "outbound",
  client: SocketAddr,
  log: Log,
): RejectionOptions {
  const count = (protocol: "http/1" | "http/2", reason: string, problem: string): void => {
    families.outriggerHttpRejectedTotal.cell(httpRejectedLabels(direction, protocol, reason)).value++;
    log.debug("Refused a message", { "client.addr": formatSocketAddr(client), protocol, reason, problem });
  };
  return {
    onRefused: (status, problem) => count("http/1", String(status), problem),
    onRejected: (rejection, problem) => count("http/2", rejection, problem),
  };
}
