/**
 * Loaded into the demo's sidecars ahead of the proxy (`node --import`): ends the process when its standard input does. The
 * other end is held by the demo, so that no sidecar outlives it, even if it is killed and can end nothing itself.
 */
process.stdin.on("end", () => process.kill(process.pid, "SIGTERM")).resume();
