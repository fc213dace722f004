import { loadLibc } from "../transport/libc.ts";

/** Source: Linux, include/uapi/linux/prctl.h. */
const PR_SET_DUMPABLE = 4;

/**
 * Keeps private keys where they are: neither a crash nor a debugger of another process of our user copies our memory.
 *
 * @returns why it could not be done.
 */
export function forbidMemoryDumps(): string | undefined {
  const state = loadLibc();
  if (state.kind === "missing") return state.reason;
  const errno = state.libc.prctl(PR_SET_DUMPABLE, 0);
  return errno === 0 ? undefined : `prctl(PR_SET_DUMPABLE): errno ${errno}`;
}
