import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errnoOf } from "../../../src/errors/from-node.ts";
import { Child } from "./child.ts";
import { BARE_ENVIRONMENT, mustRun, run, type Finished } from "./run.ts";

/** Who runs a program: the user of the proxies, whose connections the rules leave alone, or that of applications. */
export const PROXY_UID = 2102;
export const APPLICATION_UID = 1000;

/** Every name that a lab gives to the machine begins so. */
const PREFIX = "outrigger-e2e-";

/** One network namespace. It ends with its lab. */
export class Namespace {
  readonly name: string;
  readonly #lab: Lab;

  constructor(name: string, lab: Lab) {
    this.name = name;
    this.#lab = lab;
  }

  /** Runs a program to its end. */
  run(argv: readonly string[], uid = 0): Finished {
    return run(this.#argv(argv, uid));
  }

  /** Runs a program that must succeed, and returns what it printed. */
  mustRun(argv: readonly string[], uid = 0): string {
    return mustRun(this.#argv(argv, uid));
  }

  /** Starts a program in the background. It ends with the lab at the latest. */
  start(
    name: string,
    argv: readonly string[],
    uid: number,
    env: Readonly<Record<string, string>> = {},
  ): Child {
    const child = new Child(name, this.#argv(argv, uid), { ...BARE_ENVIRONMENT, ...env });
    this.#lab.children.push(child);
    return child;
  }

  #argv(argv: readonly string[], uid: number): string[] {
    return ["ip", "netns", "exec", this.name, ...(uid === 0 ? [] : asUser(uid)), ...argv];
  }
}

/**
 * What comes before a program so that it runs as another user and group, without any right but one: to read this checkout
 * wherever it is, for instance in a home directory that is closed to others.
 */
export function asUser(uid: number): string[] {
  const id = String(uid);
  const rights = ["--bounding-set", "-all,+dac_read_search", "--inh-caps", "-all,+dac_read_search"];
  const user = ["--reuid", id, "--regid", id, "--clear-groups"];
  return ["setpriv", ...user, ...rights, "--ambient-caps", "-all,+dac_read_search", "--no-new-privs"];
}

/** One end of a cable: in which namespace, the interface's name, and its addresses with their prefix lengths. */
export interface LinkEnd {
  readonly namespace: Namespace;
  readonly device: string;
  readonly addresses: readonly string[];
}

/**
 * Network namespaces, the programs in them and a folder for their files, under names that nobody else uses. The namespace
 * that the test itself runs in is never touched.
 */
export class Lab {
  /** Readable for everybody: the programs run as several users. */
  readonly dir: string;
  readonly children: Child[] = [];
  readonly #id = randomBytes(4).toString("hex");
  readonly #namespaces: Namespace[] = [];
  readonly #devices = new Set<string>();
  readonly #devicesBefore = devices();
  readonly #onExit = (): void => this.#clear();

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), PREFIX));
    chmodSync(this.dir, 0o755);
    // However the test ends. A signal ends a process without this event unless somebody handles it.
    process.once("exit", this.#onExit);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.once(signal, () => process.exit(1));
  }

  namespace(role: string): Namespace {
    const namespace = new Namespace(`${PREFIX}${this.#id}-${role}`, this);
    this.#namespaces.push(namespace);
    mustRun(["ip", "netns", "add", namespace.name]);
    mustRun(["ip", "-n", namespace.name, "link", "set", "lo", "up"]);
    return namespace;
  }

  /** Joins two namespaces by a veth pair. Its ends are made where they belong and never seen anywhere else. */
  link(one: LinkEnd, other: LinkEnd): void {
    const [a, b] = [one.namespace.name, other.namespace.name];
    const peer = ["peer", "name", other.device, "netns", b];
    mustRun(["ip", "link", "add", one.device, "netns", a, "type", "veth", ...peer]);
    for (const { namespace, device, addresses } of [one, other]) {
      this.#devices.add(device);
      // Without duplicate address detection, which would keep IPv6 addresses unusable for a second or two.
      for (const address of addresses) {
        const nodad = address.includes(":") ? ["nodad"] : [];
        mustRun(["ip", "-n", namespace.name, "addr", "add", address, "dev", device, ...nodad]);
      }
      mustRun(["ip", "-n", namespace.name, "link", "set", device, "up"]);
    }
  }

  /** A new folder that belongs to a user and is closed to others. */
  folder(name: string, uid: number): string {
    const path = join(this.dir, name);
    mkdirSync(path, { mode: 0o700 });
    chownSync(path, uid, uid);
    return path;
  }

  /** Ends every program and removes everything. May be called twice. */
  async close(): Promise<void> {
    await Promise.all(this.children.map((child) => child.stop()));
    this.#clear();
    process.off("exit", this.#onExit);
  }

  /** What is left of the lab on this machine, in words. */
  leftovers(): string[] {
    const left = mustRun(["ip", "netns", "list"])
      .split("\n")
      .filter((line) => line.startsWith(`${PREFIX}${this.#id}`))
      .map((line) => `namespace ${line}`);
    for (const { name, pid, isRunning } of this.children) {
      if (isRunning) left.push(`process ${pid} (${name})`);
    }
    for (const device of devices()) {
      if (this.#devices.has(device) && !this.#devicesBefore.includes(device))
        left.push(`network device ${device}`);
    }
    if (existsSync(this.dir)) left.push(`folder ${this.dir}`);
    return left;
  }

  /** Without waiting for anything, so that it can be done while the process exits. */
  #clear(): void {
    for (const child of this.children) child.kill("SIGKILL");
    for (const { name } of this.#namespaces.splice(0)) {
      for (const pid of run(["ip", "netns", "pids", name]).stdout.split("\n")) {
        if (pid !== "") killIfThere(Number(pid));
      }
      run(["ip", "netns", "delete", name]);
    }
    // A program that was killed a moment ago may still have been writing a file.
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** A program may end between being listed and being killed. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (errnoOf(error) !== "ESRCH") throw error;
  }
}

/** Network devices of the namespace that the test runs in. */
function devices(): string[] {
  return mustRun(["ip", "-o", "link", "show"])
    .split("\n")
    .flatMap((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? []);
}
