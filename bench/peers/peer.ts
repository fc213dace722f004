/** The proxies that are measured: each does the same job on the same core, in the same run. */

/** What a proxy is asked to carry: one of it in clear text, or two of it with mutual TLS between them. */
export interface Job {
  readonly topology: "hop" | "pair";
  /** What the application and its client speak; gRPC is HTTP/2 here, `tcp` is bytes that nobody interprets. */
  readonly protocol: "http1" | "http2" | "tcp";
}

/** Where a peer does its job. */
export interface Site {
  /** The application listens there on 127.0.0.1, in clear text. */
  readonly appPort: number;
  /** For configuration files and the like; the harness removes it. */
  readonly dir: string;
  readonly certs: Certs;
}

/** PEM files: P-256, signed by `ca`, good for clients and servers, with the name `name`. */
export interface Certs {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** Certificate chain and key in one file. */
  readonly combined: string;
  readonly name: string;
}

/** A peer at work. */
export interface RunningPeer {
  /** The load goes there, on 127.0.0.1 in clear text. */
  readonly port: number;
  /** Process ids of the proxies on the way, by the part they play. Their children count as theirs. */
  readonly proxies: Readonly<Record<string, readonly number[]>>;
  stop(): Promise<void>;
}

/** A peer that has just come to work. */
export interface StartedPeer extends RunningPeer {
  /** From the start of each process until it could work, one after the other. Ours then has its certificate. */
  readonly readyMs: number;
}

/** A proxy that can take part. */
export interface Peer {
  readonly name: string;
  /** Why it cannot take part on this machine; undefined if it can. */
  missing(): string | undefined;
  takes(job: Job): boolean;
  /** Starts it on `PROXY_CORE` and waits until it listens. @throws Error with what it printed, if it ends before. */
  start(job: Job, site: Site): Promise<StartedPeer>;
}

/** The same for everybody: TLS 1.3 with this suite, mutual, P-256, ALPN. */
export const TLS_SUITE = "TLS_AES_128_GCM_SHA256";
