/** Backends whose answers a test writes, and an application's view of its requests. */
import type { ProxyError } from "../../../src/errors/proxy-error.ts";
import {
  AUTHORITY,
  METHOD,
  PATH,
  RequestHead,
  SCHEME_HTTP,
  type HttpService,
  type HttpVersion,
  type ResponseHead,
  type Sink,
} from "../../../src/http/message.ts";
import { BackendCache } from "../../../src/outbound/backend-cache.ts";
import type { HttpBackend } from "../../../src/outbound/http/backend.ts";
import type { Backend } from "../../../src/policy/client-policy.ts";
import { formatMeta } from "../../../src/policy/meta.ts";
import { headerField } from "../../../src/wire/header-field.ts";
import { fieldsOf, RecordingApp, textOf, type SeenRequest } from "../../support/recording-app.ts";

/** A backend that answers as told, and is available until told otherwise. */
export class ScriptedBackend extends RecordingApp implements HttpBackend {
  readonly meta: string;
  available = true;
  closed = false;

  constructor(meta: string, answer?: (request: SeenRequest) => void) {
    super(answer);
    this.meta = meta;
  }

  close(): void {
    this.closed = true;
  }
}

/** Every backend that was asked for, by `kind.namespace.name:port`. */
export class ScriptedBackends {
  readonly made = new Map<string, ScriptedBackend>();
  readonly cache: BackendCache<HttpBackend>;

  constructor(answer?: (request: SeenRequest, backend: string) => void) {
    this.cache = new BackendCache<HttpBackend>(({ meta }: Backend) => {
      const name = formatMeta(meta);
      const backend = new ScriptedBackend(name, answer && ((request) => answer(request, name)));
      this.made.set(name, backend);
      return backend;
    });
  }

  get(name: string): ScriptedBackend {
    const backend = this.made.get(name);
    if (backend === undefined) throw new Error(`no backend ${name} among ${[...this.made.keys()].join()}`);
    return backend;
  }

  /** All requests that arrived anywhere, by backend. */
  get counts(): Record<string, number> {
    return Object.fromEntries([...this.made].map(([name, backend]) => [name, backend.seen.length]));
  }
}

export interface RequestOptions {
  readonly method?: string;
  readonly version?: HttpVersion;
  readonly authority?: string;
  readonly headers?: readonly string[];
  readonly last?: boolean;
  readonly upgrade?: boolean;
  readonly absoluteForm?: boolean;
}

/** What became of a request, as its application sees it. */
export interface Seen {
  /** To go on sending the request, and to give up. */
  readonly sink: Sink;
  head: ResponseHead | undefined;
  readonly fields: string[];
  body: string;
  trailers: string[] | undefined;
  ended: boolean;
  error: ProxyError | undefined;
  /** Bytes of the request that we may send anew. */
  credited: number;
}

/** Sends the head of a request, by default one without a body. */
export function call(service: HttpService, path: string, options: RequestOptions = {}): Seen {
  const { method = "GET", version = 11, authority = "web", headers = [], last = true } = options;
  const head = new RequestHead(
    version,
    headerField(METHOD, method),
    SCHEME_HTTP,
    headerField(AUTHORITY, authority),
    headerField(PATH, path),
    fieldsOf(headers),
    0,
  );
  head.upgrade = options.upgrade ?? false;
  head.absoluteForm = options.absoluteForm ?? false;
  const seen = {
    head: undefined as ResponseHead | undefined,
    fields: [] as string[],
    body: "",
    trailers: undefined as string[] | undefined,
    ended: false,
    error: undefined as ProxyError | undefined,
    credited: 0,
  };
  const sink = service.call(head, last, {
    head: (response, isLast) => {
      seen.head = response;
      seen.fields.push(...textOf(response.fields));
      seen.ended = isLast;
    },
    data: (buffer, start, end, isLast) => {
      seen.body += buffer.toString("latin1", start, end);
      seen.ended = isLast;
    },
    trailers: (fields) => {
      seen.trailers = textOf(fields);
      seen.ended = true;
    },
    reset: (error) => {
      seen.error = error;
    },
    credit: (bytes) => {
      seen.credited += bytes;
    },
  });
  return Object.assign(seen, { sink });
}
