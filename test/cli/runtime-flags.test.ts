import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { PROXY_RUNTIME_FLAGS } from "../../src/cli/runtime-flags.ts";

test("users start the proxy with the flags that are measured and tested", () => {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { scripts } = JSON.parse(text) as { readonly scripts: Readonly<Record<string, string>> };
  assert.equal(scripts["outrigger"], ["node", ...PROXY_RUNTIME_FLAGS, "src/main.ts"].join(" "));
});

test("this runtime knows every one of them", () => {
  const out = execFileSync(process.execPath, [...PROXY_RUNTIME_FLAGS, "-p", "process.execArgv.length"]);
  assert.equal(Number(out.toString()), PROXY_RUNTIME_FLAGS.length + 2);
});
