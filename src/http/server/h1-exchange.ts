import { ProxyError } from "../../errors/proxy-error.ts";
import type { Transport } from "../../transport/transport.ts";
import { NameRole, type HeaderField } from "../../wire/header-field.ts";
import { BodyKind, isBodiless, NO_LENGTH, parseContentLength } from "../../wire/http1/framing.ts";
import { fieldLine, statusLine } from "../../wire/http1/writer.ts";
import { DATE, dateField } from "../date.ts";
import type { BodyWriter } from "../h1-body-writer.ts";
import type { RequestHead, ResponseHead, ResponseSink, Sink } from "../message.ts";

/** The connection as its exchange in flight sees it. */
export interface ExchangeOwner {
  readonly transport: Transport;
  readonly writer: BodyWriter;
  /** Whether the connection takes another request after this one. Asked when the response head is written. */
  keepsAlive(): boolean;
  /** The connection ends with this response. */
  mustClose(): void;
  /** The response began; `tunnel` says whether it opened one. */
  responseStarted(tunnel: boolean): void;
  /** The response will not be completed. */
  responseFailed(error: ProxyError): void;
  /** Request body bytes have left for the far side. */
  requestPassed(bytes: number): void;
}

const EMPTY = Buffer.alloc(0);

/**
 * One request and its response on a server connection: the response sink that the service sees. It outlives the exchange
 * harmlessly, because services may call late: once detached it ignores everything.
 */
export class ServerExchange implements ResponseSink {
  /** The sink of the request body; undefined while the service is being called. */
  request: Sink | undefined = undefined;
  /** The response head is written. */
  started = false;
  /** Response bytes passed on before `request` was known, to be credited to it. */
  owed = 0;
  /** The response broke before `request` was known, which is therefore still to be told. */
  broken: ProxyError | undefined = undefined;

  #owner: ExchangeOwner | undefined;
  readonly #version: 10 | 11;
  readonly #isHead: boolean;
  readonly #isConnect: boolean;
  readonly #wantsTunnel: boolean;
  readonly #acceptsTrailers: boolean;

  constructor(owner: ExchangeOwner, head: RequestHead, acceptsTrailers: boolean) {
    this.#owner = owner;
    this.#version = head.version === 10 ? 10 : 11;
    this.#isHead = head.method.value === "HEAD";
    this.#isConnect = head.path === undefined;
    this.#wantsTunnel = head.upgrade;
    this.#acceptsTrailers = acceptsTrailers;
  }

  /** From here on nothing reaches the connection. */
  detach(): void {
    this.#owner = undefined;
  }

  head(head: ResponseHead, last: boolean): void {
    const owner = this.#owner;
    if (owner === undefined || this.started) return;
    const status = head.status;
    const tunnel =
      this.#wantsTunnel && (status === 101 || (this.#isConnect && status >= 200 && status < 300));
    if (status < 200 && !tunnel) {
      owner.responseFailed(
        new ProxyError("bad_message", `unexpected status ${status}`, { side: "upstream" }),
      );
      return;
    }
    this.started = true;
    if (tunnel) this.#openTunnel(owner, head);
    else this.#begin(owner, head, last);
    if (last) owner.writer.data(EMPTY, 0, 0, true);
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (this.#owner !== undefined && this.started) this.#owner.writer.data(buffer, start, end, last);
  }

  trailers(fields: HeaderField[]): void {
    if (this.#owner !== undefined && this.started) this.#owner.writer.trailers(fields);
  }

  reset(error: ProxyError): void {
    this.#owner?.responseFailed(error);
  }

  credit(bytes: number): void {
    this.#owner?.requestPassed(bytes);
  }

  #begin(owner: ExchangeOwner, head: ResponseHead, last: boolean): void {
    const { status, fields } = head;
    const bodiless = isBodiless(this.#isHead, status);
    let text = statusLine(this.#version, status, head.reason);
    let length = NO_LENGTH;
    let dated = false;
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i];
      if (field === undefined) continue;
      const role = field.name.role;
      if (role === NameRole.ordinary) {
        if (field.name === DATE) dated = true;
      } else if (role === NameRole.contentLength) {
        // A 204 has none (RFC 9110 section 8.6), and nobody needs it twice.
        if (status === 204 || length !== NO_LENGTH) continue;
        length = parseContentLength(field.value);
        if (length === NO_LENGTH) continue;
      } else if (isForOneHop(role)) {
        continue;
      }
      text += fieldLine(field);
    }
    let kind: BodyKind = BodyKind.none;
    if (!bodiless) {
      if (length !== NO_LENGTH) {
        kind = BodyKind.length;
      } else if (last) {
        text += "content-length: 0\r\n";
      } else if (this.#version === 11) {
        kind = BodyKind.chunked;
        text += "transfer-encoding: chunked\r\n";
      } else {
        kind = BodyKind.untilClose;
        owner.mustClose();
      }
    }
    if (head.closeConnection) owner.mustClose();
    if (!dated) text += fieldLine(dateField());
    if (!owner.keepsAlive()) text += "connection: close\r\n\r\n";
    else text += this.#version === 10 ? "connection: keep-alive\r\n\r\n" : "\r\n";
    owner.transport.writeLatin1(text);
    owner.writer.begin(kind, length, this.#acceptsTrailers);
    owner.responseStarted(false);
  }

  /** The head passes with its connection fields: they are the answer to what the client asked for. */
  #openTunnel(owner: ExchangeOwner, head: ResponseHead): void {
    let text = statusLine(11, head.status, head.reason);
    for (let i = 0; i < head.fields.length; i++) {
      const field = head.fields[i];
      if (field === undefined) continue;
      const role = field.name.role;
      if (role >= NameRole.method && role <= NameRole.otherPseudo) continue;
      // A tunnel has no length (RFC 9110 section 9.3.6).
      if (role === NameRole.contentLength || role === NameRole.transferEncoding) continue;
      text += fieldLine(field);
    }
    owner.transport.writeLatin1(`${text}\r\n`);
    owner.writer.begin(BodyKind.untilClose, NO_LENGTH, false);
    owner.responseStarted(true);
  }
}

/** Roles that a response must not carry over: pseudo-headers, and what another connection said about itself. */
function isForOneHop(role: NameRole): boolean {
  if (role <= NameRole.otherPseudo) return true;
  return (
    role === NameRole.transferEncoding ||
    role === NameRole.connection ||
    role === NameRole.upgrade ||
    role === NameRole.keepAlive
  );
}
