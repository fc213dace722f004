/** A headless Chromium, driven over its DevTools protocol. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { findProgram } from "../../../bench/peers/start.ts";

/** Where a browser is that can be driven; undefined if nowhere on PATH. */
export function findChromium(): string | undefined {
  return ["chromium", "chromium-browser", "google-chrome"]
    .map(findProgram)
    .find((path) => path !== undefined);
}

/** A message of the protocol, as far as anybody looks at it here. */
export interface BrowserEvent {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** One open page. */
export interface Page {
  /** Everything that the page has told since it was opened. */
  readonly events: readonly BrowserEvent[];
  call(method: string, params?: object): Promise<Readonly<Record<string, unknown>>>;
  /** Until the page has told of it. */
  event(method: string): Promise<BrowserEvent>;
  /** Closes the browser and removes all that it wrote. */
  close(): Promise<void>;
}

/**
 * Opens an empty page in a browser of its own, with a profile of its own.
 *
 * @param signal ends the browser, also one that never came so far as to have a page.
 */
export async function openPage(program: string, signal: AbortSignal): Promise<Page> {
  const profile = await mkdtemp(join(tmpdir(), "outrigger-chromium-"));
  const browser = spawn(program, argumentsOf(profile), { stdio: ["ignore", "ignore", "pipe"] });
  signal.addEventListener("abort", () => browser.kill());
  const close = async (): Promise<void> => {
    if (browser.exitCode === null && browser.signalCode === null) {
      browser.kill();
      await once(browser, "exit");
    }
    // Its helpers end a moment after it and may still be writing.
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  try {
    const devTools = await DevTools.connect(await endpointOf(browser));
    const { targetId } = await devTools.call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await devTools.call("Target.attachToTarget", { targetId, flatten: true });
    return {
      events: devTools.events,
      call: (method, params) => devTools.call(method, params, String(sessionId)),
      event: (method) => devTools.event(method),
      async close() {
        devTools.close();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function argumentsOf(profile: string): readonly string[] {
  return [
    "--headless=new",
    "--remote-debugging-port=0",
    `--user-data-dir=${profile}`,
    "--no-first-run",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    // Chromium cannot build its sandbox for root, and containers often run as root.
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    "about:blank",
  ];
}

/** The address that the browser prints once it can be driven. */
async function endpointOf(browser: ChildProcess): Promise<string> {
  const printed: string[] = [];
  if (browser.stderr === null) throw new Error("the browser has no standard error");
  for await (const line of createInterface({ input: browser.stderr })) {
    const endpoint = /^DevTools listening on (ws:.*)$/.exec(line)?.[1];
    if (endpoint !== undefined) {
      // A browser that nobody listens to would stop at a full pipe.
      browser.stderr.resume();
      return endpoint;
    }
    printed.push(line);
  }
  throw new Error(`the browser ended before it could be driven:\n${printed.join("\n")}`);
}

interface Reply {
  readonly id: number;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

class DevTools {
  readonly events: BrowserEvent[] = [];
  readonly #socket: WebSocket;
  readonly #replies = new Map<number, (reply: Reply) => void>();
  readonly #watchers = new Set<() => void>();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#receive(String(data)));
  }

  static async connect(endpoint: string): Promise<DevTools> {
    const socket = new WebSocket(endpoint);
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener("open", () => resolve(), { once: true });
      socket.addEventListener("error", () => reject(new Error(`cannot connect to ${endpoint}`)), {
        once: true,
      });
    });
    return new DevTools(socket);
  }

  async call(
    method: string,
    params: object = {},
    sessionId?: string,
  ): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#lastId;
    const reply = new Promise<Reply>((resolve) => this.#replies.set(id, resolve));
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    const { result, error } = await reply;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  async event(method: string): Promise<BrowserEvent> {
    for (;;) {
      const event = this.events.find((one) => one.method === method);
      if (event !== undefined) return event;
      await new Promise<void>((resolve) => this.#watchers.add(resolve));
    }
  }

  close(): void {
    this.#socket.close();
  }

  #receive(text: string): void {
    // The browser keeps to its protocol: a reply has an id, an event a method.
    const message = JSON.parse(text) as Reply | BrowserEvent;
    if ("id" in message) {
      this.#replies.get(message.id)?.(message);
      this.#replies.delete(message.id);
      return;
    }
    this.events.push(message);
    for (const resolve of this.#watchers) resolve();
    this.#watchers.clear();
  }
}
