import type { SocketAddr } from "../../addr/socket-addr.ts";
import type { Parsed } from "../../parsed.ts";
import type { AcceptedSocket } from "../listen.ts";

/** What a provider needs to know of a connection. */
export type Redirected = Pick<AcceptedSocket, "peerAddr" | "localAddr" | "fd">;

/**
 * Tells where the client of an accepted connection meant to go before the kernel turned it to us.
 *
 * A provider never guesses: if it does not know it says why, and the caller drops that connection.
 */
export interface OrigDst {
  /** Short name for the log: `SO_ORIGINAL_DST`. */
  readonly name: string;
  lookup(socket: Redirected): Parsed<SocketAddr>;
}
