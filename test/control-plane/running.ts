import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { parseIp, type Ip } from "../../src/addr/ip.ts";
import { EmbeddedControlPlane, type EmbeddedOptions } from "../../src/control-plane/embedded.ts";
import { NO_LOG, type Log } from "../../src/log/log.ts";
import { TestClient } from "./grpc-client.ts";

/** A control plane that runs, with a client of its API. */

export function ipOf(text: string): Ip {
  const ip = parseIp(text);
  assert.ok(ip.ok);
  return ip.value;
}

export const LOCAL = { ip: ipOf("127.0.0.1"), port: 0 };

/** A log that keeps its lines, and waits for one. */
export class Lines {
  readonly all: string[] = [];
  #wake: () => void = () => {};
  readonly log: Log;

  constructor() {
    const keep = (message: string): void => {
      this.all.push(message);
      this.#wake();
    };
    this.log = {
      ...NO_LOG,
      info: keep,
      warn: keep,
      error: keep,
      target: () => this.log,
      span: () => this.log,
    };
  }

  async including(part: string): Promise<string> {
    for (;;) {
      const line = this.all.find((l) => l.includes(part));
      if (line !== undefined) return line;
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      await woken.promise;
    }
  }
}

export interface Mesh {
  readonly plane: EmbeddedControlPlane;
  readonly client: TestClient;
  readonly lines: Lines;
  readonly dir: string;
  /** Replaces a manifest as careful editors do: beside it, then renamed. */
  readonly put: (file: string, text: string) => Promise<void>;
}

export async function start(
  t: TestContext,
  manifest: string,
  options: Partial<EmbeddedOptions> = {},
): Promise<Mesh> {
  const root = await mkdtemp(join(tmpdir(), "outrigger-"));
  t.after(() => rm(root, { recursive: true }));
  const dir = join(root, "resources");
  await mkdir(dir);
  await writeFile(join(dir, "mesh.yaml"), manifest);
  const lines = new Lines();
  const plane = await EmbeddedControlPlane.start({
    resourcesDir: dir,
    listen: [LOCAL],
    log: lines.log,
    ...options,
  });
  const client = new TestClient(plane.address);
  t.after(async () => {
    client.close();
    await plane.close();
  });
  const put = async (file: string, text: string): Promise<void> => {
    await writeFile(join(root, "new"), text);
    await rename(join(root, "new"), join(dir, file));
  };
  return { plane, client, lines, dir, put };
}
