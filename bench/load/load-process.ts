import type { HoldOptions } from "./idle-connections.ts";
import { LoadChild } from "./load-child.ts";
import type { HoldGroup, IdleRequest, LoadRequest } from "./load-messages.ts";
import type { ApplicationPorts, LoadResult, LoadSpec } from "./load-spec.ts";

/** The process that serves and asks, on a core of its own. It does one thing at a time, in the order it is asked. */
export class LoadProcess {
  readonly ports: ApplicationPorts;
  readonly #load: LoadChild;
  /** Holds idle connections; started when the first are asked for. */
  #idle: LoadChild | undefined = undefined;

  private constructor(load: LoadChild, ports: ApplicationPorts) {
    this.#load = load;
    this.ports = ports;
  }

  static async start(): Promise<LoadProcess> {
    const load = new LoadChild("main.ts");
    // The child is ours: what it says is what load-messages.ts says, here and below.
    return new LoadProcess(load, (await load.message()) as ApplicationPorts);
  }

  /**
   * Idle connections that their peer closes and fresh connections that break are errors of the result.
   *
   * @throws Error if nobody listens, or if not one connection survived.
   */
  async run(spec: LoadSpec): Promise<LoadResult> {
    const { port, idleConnections = 0 } = spec;
    if (idleConnections === 0) return this.#run(spec);
    await this.#hold("run", port, idleConnections, {});
    try {
      const result = await this.#run(spec);
      const lost = idleConnections - (await this.#release("run"));
      return { ...result, errors: result.errors + lost };
    } catch (error) {
      await this.#release("run");
      throw error;
    }
  }

  /**
   * Has the applications listen on 127.0.0.1, 127.0.0.2 and so on, on each with the same ports, for good.
   *
   * @param count at most 1,000. @returns the addresses.
   */
  async listenOnAddresses(count: number): Promise<readonly string[]> {
    const request: LoadRequest = { kind: "listen", addresses: count };
    return (await this.#load.ask(request)) as readonly string[];
  }

  /**
   * Opens connections to a port and holds them until `releaseIdle`, beside those that are held already.
   *
   * @returns how many are held, when all of them have been accepted. @throws Error that names the limit if there is one.
   */
  holdIdle(port: number, count: number, options: HoldOptions = {}): Promise<number> {
    return this.#hold("held", port, count, options);
  }

  /** Closes what `holdIdle` opened. @returns how many still stood: fewer, if peers have closed some. */
  releaseIdle(): Promise<number> {
    return this.#release("held");
  }

  stop(): void {
    this.#load.stop();
    this.#idle?.stop();
  }

  async #run(spec: LoadSpec): Promise<LoadResult> {
    const request: LoadRequest = { kind: "run", spec };
    return (await this.#load.ask(request)) as LoadResult;
  }

  async #hold(group: HoldGroup, port: number, count: number, options: HoldOptions): Promise<number> {
    this.#idle ??= new LoadChild("idle-main.ts");
    const request: IdleRequest = { kind: "hold", group, port, count, options };
    return (await this.#idle.ask(request)) as number;
  }

  async #release(group: HoldGroup): Promise<number> {
    if (this.#idle === undefined) return 0;
    const request: IdleRequest = { kind: "release", group };
    return (await this.#idle.ask(request)) as number;
  }
}
