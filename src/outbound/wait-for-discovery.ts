import { readPrefix } from "../detect/peek.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import type { Clock } from "../time/clock.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { Discovered } from "./discover.ts";
import type { TargetStack } from "./target-stack.ts";

/** What an application may send before we know where to: more stays with the kernel (LIM-19). */
const EARLY_BYTES = 64 * 1024;

/** How long one is waited for who has finished writing: nothing more will tell whether it is still there. */
const HALF_CLOSED_WAIT_MS = 10_000;

const FOREVER_MS = Number.MAX_SAFE_INTEGER;
const NOTHING = Buffer.alloc(0);

/**
 * What discovery says of the target, together with what the application sent meanwhile.
 *
 * While the control plane is away that can take as long as the application is patient. So its connection is read: an
 * application that has left is noticed, instead of holding a descriptor until the control plane is back.
 *
 * @throws ProxyError `canceled` if the application left, or why the target cannot be discovered.
 */
export async function waitForDiscovery(
  stack: TargetStack,
  transport: SocketTransport,
  clock: Clock,
): Promise<{ readonly discovered: Discovered; readonly prefix: Buffer }> {
  if (stack.known !== undefined) return { discovered: stack.known, prefix: NOTHING };
  const settled = new AbortController();
  const settle = (): void => settled.abort();
  stack.discovered.then(settle, settle);
  const enough = (bytes: Buffer): true | undefined => (bytes.length >= EARLY_BYTES ? true : undefined);
  const read = await readPrefix(transport, clock, FOREVER_MS, enough, { signal: settled.signal });
  if (read.kind === "closed") throw read.error ?? gone();
  const { prefix } = read;
  if (read.kind !== "ended") return { discovered: await stack.discovered, prefix };
  return { discovered: await within(HALF_CLOSED_WAIT_MS, stack.discovered, clock), prefix };
}

function within<T>(timeoutMs: number, promise: Promise<T>, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeoutMs, () => reject(gone()));
    promise.finally(() => timer.cancel()).then(resolve, reject);
  });
}

function gone(): ProxyError {
  return new ProxyError("canceled", "closed by the application while its target was looked up");
}
