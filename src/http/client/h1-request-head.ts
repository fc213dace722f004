import { headerName, NameRole, type HeaderField } from "../../wire/header-field.ts";
import { BodyKind, NO_LENGTH, parseContentLength } from "../../wire/http1/framing.ts";
import { fieldLine, requestLine } from "../../wire/http1/writer.ts";
import type { RequestHead } from "../message.ts";

const COOKIE = headerName("cookie");

/** Turns request heads into text, one at a time. What belongs to the last head stays in the fields until the next. */
export class RequestHeadWriter {
  /** How the request's own body is framed. */
  kind: BodyKind = BodyKind.none;
  length = NO_LENGTH;
  /** Why the head cannot be written, after `undefined` was returned. */
  problem = "";

  /**
   * The head as it goes on the wire. Host comes first and is as the client wrote it; it is made from the authority where
   * the client had no need of one: in HTTP/2, an absolute target, or CONNECT.
   *
   * Source: RFC 9112 section 3.2; linkerd2-proxy, linkerd/proxy/http/src/h1.rs.
   */
  write(head: RequestHead, last: boolean): string | undefined {
    this.length = NO_LENGTH;
    const target = targetOf(head);
    if (target === undefined) return this.#refuse("the request has no target");
    const version = head.version === 10 ? 10 : 11;
    let host = "";
    let rest = "";
    let cookies: string | undefined;
    const fields = head.fields;
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i];
      if (field === undefined) continue;
      const role = field.name.role;
      if (role === NameRole.ordinary) {
        // HTTP/2 splits cookies so that they compress better (RFC 9113 section 8.2.3).
        if (head.version === 20 && field.name === COOKIE) {
          cookies = cookies === undefined ? field.value : `${cookies}; ${field.value}`;
          continue;
        }
      } else if (role === NameRole.host) {
        host += fieldLine(field);
        continue;
      } else if (role === NameRole.contentLength) {
        this.length = parseContentLength(field.value);
      } else if (!this.#carries(role, head.upgrade)) {
        continue;
      }
      rest += fieldLine(field);
    }
    if (cookies !== undefined) rest += `cookie: ${cookies}\r\n`;
    if (host === "" && head.authority !== undefined && needsHost(head)) host = hostLine(head.authority);
    if (!this.#frame(head, last)) return undefined;
    if (this.kind === BodyKind.chunked) rest += "transfer-encoding: chunked\r\n";
    return `${requestLine(head.method.value, target, version)}${host}${rest}\r\n`;
  }

  /** Whether a field of this role is written as it is; transfer-encoding never is, because framing is ours. */
  #carries(role: NameRole, upgrade: boolean): boolean {
    if (role <= NameRole.otherPseudo || role === NameRole.transferEncoding) return false;
    const hopByHop = role === NameRole.connection || role === NameRole.upgrade || role === NameRole.keepAlive;
    return upgrade || !hopByHop;
  }

  #frame(head: RequestHead, last: boolean): boolean {
    this.kind = BodyKind.none;
    if (last) {
      if (this.length > 0) return this.#refuse("a content-length without a body") !== undefined;
    } else if (this.length !== NO_LENGTH) {
      this.kind = BodyKind.length;
    } else if (!head.upgrade) {
      if (head.version === 10)
        return this.#refuse("an HTTP/1.0 request body without content-length") !== undefined;
      this.kind = BodyKind.chunked;
    }
    return true;
  }

  #refuse(problem: string): undefined {
    this.problem = problem;
    return undefined;
  }
}

function targetOf(head: RequestHead): string | undefined {
  const { path, authority } = head;
  if (path === undefined) return authority?.value;
  if (!head.absoluteForm || authority === undefined) return path.value;
  return `${head.scheme?.value ?? "http"}://${authority.value}${path.value === "*" ? "" : path.value}`;
}

function needsHost(head: RequestHead): boolean {
  return head.version === 20 || head.absoluteForm || head.path === undefined;
}

function hostLine(authority: HeaderField): string {
  return `host: ${authority.value}\r\n`;
}
