/**
 * Starts this process anew, as the same process, if it was started with `NODE_OPTIONS`: whoever shares the environment may
 * have meant another program, and options can open a debugger, load code, or write memory to files. Options on the
 * command line are kept, for whoever writes those writes ours.
 *
 * The model has no runtime that could be told such things.
 */
export function dropInheritedOptions(): void {
  const { NODE_OPTIONS: options, ...environment } = process.env;
  if ((options ?? "") === "" || process.execve === undefined) return;
  process.execve(
    process.execPath,
    [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    environment,
  );
}
