import { loopbackAddresses } from "./addresses.ts";
import { Http1Application } from "./http1.ts";
import { Http2Application } from "./http2-application.ts";
import { accept, AGAIN, listenOn } from "./kernel.ts";
import type { ApplicationPorts } from "./load-spec.ts";
import type { Poller } from "./poller.ts";
import { TcpApplication } from "./tcp.ts";

/** Of each further address: clients spread over them. */
const BACKLOG_PER_ADDRESS = 128;
/** At most so many are accepted before others get their turn. */
const ACCEPTS_PER_EVENT = 64;

type Serve = (poller: Poller, fd: number) => void;

const SERVE: Readonly<Record<keyof ApplicationPorts, Serve>> = {
  http1: (poller, fd) => void new Http1Application(poller, fd),
  http2: (poller, fd) => new Http2Application(poller, fd).pump(),
  tcp: (poller, fd) => void new TcpApplication(poller, fd),
};

/** What stands behind the proxies: one application for each protocol, each on a port of its own. */
export class Applications {
  readonly ports: ApplicationPorts;
  readonly #poller: Poller;
  /** How many of `loopbackAddresses` are listened on. */
  #addresses = 1;

  constructor(poller: Poller) {
    this.#poller = poller;
    this.ports = { http1: this.#listen("http1"), http2: this.#listen("http2"), tcp: this.#listen("tcp") };
  }

  /** Listens on so many addresses, on each with the same ports, so that one application looks like many endpoints. */
  listenOnAddresses(count: number): readonly string[] {
    const addresses = loopbackAddresses(count);
    for (const address of addresses.slice(this.#addresses)) {
      for (const protocol of ["http1", "http2", "tcp"] as const) this.#listen(protocol, address);
      this.#addresses++;
    }
    return addresses;
  }

  #listen(protocol: keyof ApplicationPorts, address?: string): number {
    const { fd, port } =
      address === undefined ? listenOn(0) : listenOn(this.ports[protocol], address, BACKLOG_PER_ADDRESS);
    const onReadable = (): void => {
      for (let i = 0; i < ACCEPTS_PER_EVENT; i++) {
        const connection = accept(fd);
        if (connection === AGAIN) return;
        SERVE[protocol](this.#poller, connection);
      }
    };
    this.#poller.add({ fd, onReadable, onWritable: () => {} });
    return port;
  }
}
