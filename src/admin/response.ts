import { headerField, headerName, internField, type HeaderField } from "../wire/header-field.ts";

/** A request to the admin server, as its endpoints see it. */
export interface AdminRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** The text behind the first "?", not decoded; undefined where there is none. */
  readonly query: string | undefined;
  /** Whether the socket's peer is on this host's loopback. Headers are never believed about this. */
  readonly local: boolean;
  /** The values of every field of that name, in order, as latin1. */
  header(name: string): readonly string[];
  /** The whole body, or undefined if it is larger than `BODY_MAX`. */
  body(): Promise<Buffer | undefined>;
}

/** Bytes of a request body that are read; more is refused. Source: AD-01. */
export const BODY_MAX = 64 * 1024;

/** An answer: a body as a whole, or in pieces that are made while they are sent. */
export interface AdminResponse {
  readonly status: number;
  readonly fields: readonly HeaderField[];
  readonly body: Buffer | AsyncIterable<Buffer>;
  /** Runs once the answer has been handed on, for what may end the connection. */
  readonly after?: () => void;
}

const CONTENT_TYPE = headerName("content-type");
const ALLOW = headerName("allow");
const NOTHING = Buffer.alloc(0);

export const TEXT_PLAIN: HeaderField = internField(CONTENT_TYPE, "text/plain");
export const APPLICATION_JSON: HeaderField = internField(CONTENT_TYPE, "application/json");

/** An answer without body. */
export function empty(status: number, fields: readonly HeaderField[] = []): AdminResponse {
  return { status, fields, body: NOTHING };
}

/** A text body with its content type. */
export function text(status: number, body: string): AdminResponse {
  return { status, fields: [TEXT_PLAIN], body: Buffer.from(body) };
}

/** A text body without a content type, as the model answers in two places. */
export function untyped(status: number, body: string): AdminResponse {
  return { status, fields: [], body: Buffer.from(body) };
}

export function json(status: number, value: unknown): AdminResponse {
  return { status, fields: [APPLICATION_JSON], body: Buffer.from(JSON.stringify(value)) };
}

/** A problem as JSON: members `error` and `status`. */
export function jsonError(status: number, error: string): AdminResponse {
  return json(status, { error, status });
}

/** 405 with one `allow` line per method. */
export function methodNotAllowed(...allowed: string[]): AdminResponse {
  return empty(
    405,
    allowed.map((method) => headerField(ALLOW, method)),
  );
}

/** 403 for who is not on this host. Source: linkerd2-proxy, linkerd/app/admin/src/server.rs. */
export function notLocal(): AdminResponse {
  return text(403, "Requests are only permitted from localhost.");
}
