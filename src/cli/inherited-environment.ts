/**
 * What processes that we start ourselves need of our own environment: where programs are, and code that was compiled before.
 * Variables of a mesh that this machine may be part of do not belong there.
 */
export const INHERITED: Readonly<Record<string, string | undefined>> = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => name === "PATH" || name === "NODE_COMPILE_CACHE"),
);
