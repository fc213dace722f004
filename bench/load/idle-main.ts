/**
 * The process that holds idle connections: they take a descriptor at each end, and the applications have the other ends.
 * It sleeps, so that the load next to it has the core for itself.
 */
import { assertNever } from "../../src/parsed.ts";
import { IdleConnections } from "./idle-connections.ts";
import { serveParent, type HoldGroup, type IdleRequest } from "./load-messages.ts";
import { Poller } from "./poller.ts";

/** How often it looks whether a peer has closed or said something. */
const POLL_INTERVAL_MS = 200;

const poller = new Poller();
const groups: Readonly<Record<HoldGroup, IdleConnections>> = {
  run: new IdleConnections(poller),
  held: new IdleConnections(poller),
};

function pollAll(): void {
  while (poller.poll() > 0);
}

serveParent((message) => {
  const request = message as IdleRequest;
  const group = groups[request.group];
  switch (request.kind) {
    case "hold":
      group.open(request.port, request.count, request.options);
      return group.size;
    case "release": {
      pollAll();
      const standing = group.size;
      group.release();
      return standing;
    }
    default:
      return assertNever(request);
  }
});

setInterval(pollAll, POLL_INTERVAL_MS);
