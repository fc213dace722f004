import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const PROTO_DIR = fileURLToPath(new URL(".", import.meta.url));
const PACKAGES_DIR = fileURLToPath(new URL("../../node_modules/@bufbuild/", import.meta.url));

/**
 * Writes the generated code of every `.proto` file beside this one into `outDir`, replacing what is there.
 *
 * JavaScript with declarations, because the TypeScript output contains `enum`s, which type stripping refuses. Both
 * tools are the pinned ones of package.json, so that nothing depends on the machine. Needs no network.
 *
 * @throws if a file does not compile; buf has then written file, line and reason to stderr.
 */
export function generate(outDir: string): void {
  const template = {
    version: "v2",
    clean: true,
    plugins: [
      {
        local: [process.execPath, `${PACKAGES_DIR}protoc-gen-es/bin/protoc-gen-es`],
        out: outDir,
        opt: ["target=js+dts", "import_extension=js"],
        // One process at a time: the plugin is quick, and its output must not depend on how files are grouped.
        strategy: "all",
      },
    ],
  };
  execFileSync(
    process.execPath,
    [`${PACKAGES_DIR}buf/bin/buf`, "generate", PROTO_DIR, "--template", JSON.stringify(template)],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
}

if (import.meta.main) generate(`${PROTO_DIR}gen`);
