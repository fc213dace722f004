/**
 * The load process: the applications behind the proxies and the clients in front of them, in one event loop that never
 * sleeps, so that everything but the proxies fits on one core and answers at once. Told by its parent what to do.
 */
import { Http1Application } from "./http1.ts";
import { Http2Application } from "./http2-application.ts";
import { accept, listenOn } from "./kernel.ts";
import type { ApplicationPorts, LoadSpec } from "./load-spec.ts";
import { Poller } from "./poller.ts";
import { runLoad } from "./run.ts";

/** Between runs the applications are served too, for load of others and for what proxies ask; we sleep no longer than this. */
const IDLE_POLL_MS = 20;

const poller = new Poller();

function serve(onConnection: (fd: number) => void): number {
  const { fd, port } = listenOn(0);
  poller.add({ fd, onReadable: () => onConnection(accept(fd)), onWritable: () => {} });
  return port;
}

const ports: ApplicationPorts = {
  http1: serve((fd) => void new Http1Application(poller, fd)),
  http2: serve((fd) => new Http2Application(poller, fd).pump()),
};

process.on("message", (spec: LoadSpec) => {
  let answer;
  try {
    answer = { result: runLoad(poller, spec) };
  } catch (error) {
    answer = { problem: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(answer);
});
process.on("disconnect", () => process.exit());
process.send?.(ports);

function serveBetweenRuns(): void {
  poller.poll(IDLE_POLL_MS);
  setImmediate(serveBetweenRuns);
}
serveBetweenRuns();
