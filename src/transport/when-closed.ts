import type { Socket } from "node:net";

/**
 * Runs `f` once when the socket is closed; at once if it is already. A bare listener would wait for ever for a close
 * that came while somebody looked at the first bytes, and keep whatever `f` lets go of.
 */
export function whenClosed(socket: Socket, f: () => void): void {
  if (socket.closed) f();
  else socket.once("close", f);
}
