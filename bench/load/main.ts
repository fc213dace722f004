/**
 * The load process: the applications behind the proxies and the clients in front of them, in one event loop that never
 * sleeps, so that everything but the proxies fits on one core and answers at once. Told by its parent what to do.
 */
import { assertNever } from "../../src/parsed.ts";
import { Applications } from "./applications.ts";
import { serveParent, type LoadRequest } from "./load-messages.ts";
import { Poller } from "./poller.ts";
import { LoadRunner } from "./run.ts";

/** Between runs the applications are served too, for load of others and for what proxies ask; we sleep no longer than this. */
const IDLE_POLL_MS = 20;

const poller = new Poller();
const applications = new Applications(poller);
const runner = new LoadRunner(poller);

serveParent((message) => {
  const request = message as LoadRequest;
  switch (request.kind) {
    case "run":
      if (request.spec.addresses !== undefined) applications.listenOnAddresses(request.spec.addresses);
      return runner.run(request.spec);
    case "listen":
      return applications.listenOnAddresses(request.addresses);
    default:
      return assertNever(request);
  }
});
process.send?.(applications.ports);

let problem = "";

function serveBetweenRuns(): void {
  try {
    poller.poll(IDLE_POLL_MS);
  } catch (error) {
    // Out of descriptors, perhaps until somebody closes connections again: whoever waits to be accepted fails meanwhile.
    const message = error instanceof Error ? error.message : String(error);
    if (message !== problem) console.error(`the applications: ${message}`);
    problem = message;
  }
  setImmediate(serveBetweenRuns);
}
serveBetweenRuns();
