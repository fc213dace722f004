import type { BuildInfo } from "../metrics/labels.ts";

/** What this proxy calls itself. The version is that of package.json; a test compares. */
export const BUILD: BuildInfo = {
  version: "0.1.0",
  // Filled in by whoever builds an image; unknown when run from sources.
  gitSha: "",
  date: "",
  profile: "release",
  vendor: "outrigger",
};
