import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SRC = join(ROOT, "src");

/** Who may import whom: a folder imports from lower levels, and at its own level only along `ARROWS`. */
const LEVELS: readonly (readonly string[])[] = [
  ["addr", "errors", "time", "watch", "headers", "parsed"],
  ["wire", "identity", "policy", "balance", "failure-accrual", "classify"],
  ["stack", "log", "metrics"],
  ["transport", "tls", "detect", "http"],
  ["proto", "control", "telemetry", "tap"],
  ["inbound", "outbound", "admin"],
  ["gateway", "control-plane"],
  ["config", "proxy", "cli", "main"],
];

/** Chains at one level: the right may import everything to its left. */
const ARROWS: readonly (readonly string[])[] = [
  ["identity", "policy"],
  // The routes of a profile say what counts as a failure.
  ["classify", "policy"],
  // Rules compare interned header names by identity.
  ["wire", "policy"],
  ["transport", "tls", "detect", "http"],
  ["proto", "control", "telemetry"],
  // The server of the tap API is one of control's; inbound and outbound hold the layer.
  ["tap", "control"],
  ["config", "proxy", "cli", "main"],
];

/** Level 0 files that level 0 itself is written in. */
const WORDS = new Set(["parsed", "headers"]);

/** Downward imports that would still bring together what must not meet. */
const FORBIDDEN: readonly (readonly [string, RegExp, string])[] = [
  ["http", /^policy$/, "http does not know policy; inbound and outbound bring them together"],
  ["control-plane", /^(inbound|outbound|admin|tap)$/, "the control plane is no part of a data plane"],
];

/** Places that see generated protobuf. */
const PROTO_READERS = /^(proto|control|telemetry|control-plane\/(index|serve))\//;

/** Each package has one owner; everyone else sees the owner's interface. Paths below src. */
const PACKAGE_OWNERS = new Map<string, RegExp>([
  ["@grpc/grpc-js", /^(proto|control|control-plane|cli\/demo)\//],
  ["@bufbuild/protobuf", PROTO_READERS],
  ["undici", /^(cli|telemetry)\//],
  ["http2-wrapper", /^cli\//],
  ["node-forge", /^(identity|control-plane\/ca)\//],
  ["prom-client", /^metrics\//],
  ["lru-cache", /^stack\/idle-cache\.ts$/],
  ["pino", /^log\//],
  ["yaml", /^(control-plane|cli\/demo)\//],
  ["re2js", /^policy\//],
]);

/** Node's own protocol stacks, which are not on the data path. */
const NODE_HTTP = /^node:(http|http2|https)$/;

interface Import {
  /** Path below src. */
  readonly from: string;
  readonly specifier: string;
  readonly typeOnly: boolean;
}

function sources(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter(
      (entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.parentPath.endsWith("proto/gen"),
    )
    .map((entry) => relative(SRC, join(entry.parentPath, entry.name)));
}

const FILES = sources(SRC);
const TEXTS = new Map(FILES.map((file) => [file, readFileSync(join(SRC, file), "utf8")]));

/** All imports and re-exports of a text: statements, bare imports and dynamic ones. */
function importsOf(from: string, text: string): Import[] {
  const found: Import[] = [];
  for (const [, head = "", specifier = ""] of text.matchAll(
    /^((?:import|export)\b[^;"']*?)\bfrom\s+"([^"]+)"/gm,
  )) {
    const named = /^(?:import|export)\s*\{([^}]*)\}/.exec(head)?.[1];
    const names = named
      ?.split(",")
      .map((n) => n.trim())
      .filter((n) => n !== "");
    const typeOnly =
      /^(import|export)\s+type\b/.test(head) || (names?.every((n) => n.startsWith("type ")) ?? false);
    found.push({ from, specifier, typeOnly });
  }
  for (const [, specifier = ""] of text.matchAll(/^import\s+"([^"]+)"/gm))
    found.push({ from, specifier, typeOnly: false });
  // A dynamic import runs when everything is loaded: it has a direction but makes no cycle.
  for (const [, specifier = ""] of text.matchAll(/\bimport\(\s*"([^"]+)"/g))
    found.push({ from, specifier, typeOnly: true });
  return found;
}

const IMPORTS = [...TEXTS].flatMap(([file, text]) => importsOf(file, text));

/** The folder directly below src, or the name of a file that lies there. */
function partOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : path.replace(/\.ts$/, "");
}

function levelOf(part: string): number {
  return LEVELS.findIndex((level) => level.includes(part));
}

/** The imported file below src, or undefined for packages and for files outside of src. */
function targetOf({ from, specifier }: Import): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const path = relative(SRC, resolve(SRC, dirname(from), specifier));
  return path.startsWith("..") ? undefined : path;
}

function mayImport(from: string, to: string): boolean {
  if (from === to) return true;
  const fromLevel = levelOf(from);
  const toLevel = levelOf(to);
  if (toLevel !== fromLevel) return toLevel < fromLevel;
  if (WORDS.has(to)) return !WORDS.has(from);
  return ARROWS.some((chain) => chain.includes(to) && chain.indexOf(to) < chain.indexOf(from));
}

function none(violations: readonly string[]): void {
  assert.deepEqual([...new Set(violations)].sort(), []);
}

describe("the house", () => {
  it("has a level for every folder", () => {
    none(FILES.filter((file) => levelOf(partOf(file)) < 0));
  });

  it("reads imports of every form", () => {
    const text = `import a from "x";\nimport {\n  type B,\n  type C,\n} from "./b.ts";\nexport { d } from "./d.ts";\nimport "./e.ts";\nconst f = import("./f.ts");\n// from "no"\n`;
    assert.deepEqual(
      importsOf("z.ts", text).map((i) => [i.specifier, i.typeOnly]),
      [
        ["x", false],
        ["./b.ts", true],
        ["./d.ts", false],
        ["./e.ts", false],
        ["./f.ts", true],
      ],
    );
    assert.ok(IMPORTS.length > 100);
  });

  it("imports downward only, and side by side only along an arrow", () => {
    none(
      IMPORTS.flatMap((i) => {
        const to = targetOf(i);
        if (to === undefined || mayImport(partOf(i.from), partOf(to))) return [];
        return [`${i.from} imports ${to}`];
      }),
    );
  });

  it("keeps apart what only inbound and outbound may bring together", () => {
    none(
      IMPORTS.flatMap((i) => {
        const to = targetOf(i);
        return FORBIDDEN.filter(
          ([from, part]) => to !== undefined && partOf(i.from) === from && part.test(partOf(to)),
        ).map(([, , why]) => `${i.from} imports ${i.specifier}: ${why}`);
      }),
    );
  });

  it("shows generated protobuf only to those who convert it", () => {
    none(
      IMPORTS.filter((i) => {
        const to = targetOf(i);
        return to !== undefined && partOf(to) === "proto" && !PROTO_READERS.test(i.from);
      }).map((i) => `${i.from} imports ${i.specifier}`),
    );
  });

  it("reaches out of src only to the iptables rules, and only from their command", () => {
    none(
      IMPORTS.filter((i) => i.specifier.startsWith(".") && targetOf(i) === undefined)
        .filter((i) => !(i.from === "cli/init.ts" && i.specifier.startsWith("../../iptables-init/")))
        .map((i) => `${i.from} imports ${i.specifier}`),
    );
  });

  it("uses each package only where it is owned", () => {
    none(
      IMPORTS.filter((i) => !i.specifier.startsWith(".") && !i.specifier.startsWith("node:")).flatMap((i) => {
        const name = [...PACKAGE_OWNERS.keys()].find(
          (n) => i.specifier === n || i.specifier.startsWith(`${n}/`),
        );
        if (name === undefined) return [`${i.from} imports ${i.specifier}, which nobody owns`];
        return PACKAGE_OWNERS.get(name)?.test(i.from) === true ? [] : [`${i.from} imports ${i.specifier}`];
      }),
    );
  });

  it("keeps Node's HTTP stacks off the data path", () => {
    none(
      IMPORTS.filter((i) => NODE_HTTP.test(i.specifier) && levelOf(partOf(i.from)) < levelOf("cli")).map(
        (i) => `${i.from} imports ${i.specifier}`,
      ),
    );
  });

  it("keeps what only decides free of input, output and clocks", () => {
    const pure = new Set(LEVELS[1]);
    none(
      IMPORTS.filter((i) => pure.has(partOf(i.from)) && !i.typeOnly)
        .filter(
          (i) =>
            /^node:(fs|net|tls|dgram|dns|child_process|worker_threads|timers)/.test(i.specifier) ||
            i.specifier.endsWith("time/clock.ts"),
        )
        .map((i) => `${i.from} imports ${i.specifier}`),
    );
  });

  it("has no cycle among files that load each other", () => {
    const edges = new Map<string, string[]>();
    for (const i of IMPORTS) {
      const to = targetOf(i);
      if (to !== undefined && !i.typeOnly) edges.set(i.from, [...(edges.get(i.from) ?? []), to]);
    }
    none(cycles(edges));
  });

  it("reads the environment only at the command line and in config", () => {
    none(
      [...TEXTS]
        .filter(
          ([file, text]) => /\bprocess\.env\b/.test(code(text)) && !/^(cli\/|config\/|main\.ts$)/.test(file),
        )
        .map(([file]) => file),
    );
  });

  it("waits only by the clock: timers are Node's in src/time alone", () => {
    none(
      [...TEXTS]
        .filter(([file, text]) => /\bset(Timeout|Interval)\(/.test(code(text)) && !file.startsWith("time/"))
        .map(([file]) => file),
    );
  });

  it("defers to the end of a turn only where connections are driven", () => {
    none(
      [...TEXTS]
        .filter(
          ([file, text]) => /\bsetImmediate\(/.test(code(text)) && !/^(transport|tls|control)\//.test(file),
        )
        .map(([file]) => file),
    );
  });

  it("explains every folder of weight in a README", () => {
    const folders = new Map<string, number>();
    for (const file of FILES.filter((f) => f.includes("/")))
      folders.set(partOf(file), (folders.get(partOf(file)) ?? 0) + 1);
    const heavy = [...folders].filter(([, count]) => count >= README_FROM).map(([folder]) => folder);
    assert.ok(heavy.length > 5);
    none(heavy.filter((folder) => !readdirSync(join(SRC, folder)).includes("README.md")));
  });
});

/** A folder with this many files has weight. */
const README_FROM = 5;

/** A text without its comments, roughly: enough to tell a call from a mention. */
function code(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");
}

/** Each cycle once, as a path that ends where it begins. */
function cycles(edges: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const at = path.indexOf(file);
    if (at >= 0) {
      found.push([...path.slice(at), file].join(" > "));
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    for (const next of edges.get(file) ?? []) visit(next);
    path.pop();
    done.add(file);
  };
  for (const file of edges.keys()) visit(file);
  return found;
}
