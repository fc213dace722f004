import { headerName, internField, NameRole, type HeaderField } from "../wire/header-field.ts";
import { listsTrailers } from "../wire/http1/parser.ts";

const TE_TRAILERS = internField(headerName("te"), "trailers");

/**
 * Removes, in place, what an HTTP/1 message said to this hop alone: connection and the fields that it names, keep-alive,
 * proxy-connection, upgrade, transfer-encoding. Of `te` only `trailers` stays, because that is what the next hop of ours
 * can do. Not for messages that open a tunnel: their server must see what the client asked for.
 *
 * Fields that frame or route cannot be removed by naming them in Connection: that would let a client change what other
 * hops see.
 *
 * @param named lower-case names from Connection, if there were any besides the usual options.
 *
 * Source: RFC 9110 section 7.6.1; linkerd2-proxy, linkerd/http/upgrade/src/upgrade.rs (strip_connection_headers).
 */
export function stripHopByHop(fields: HeaderField[], named: readonly string[] | undefined): void {
  let kept = 0;
  let te = false;
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i];
    if (field === undefined) continue;
    switch (field.name.role) {
      case NameRole.ordinary:
        if (named !== undefined && named.includes(field.name.text)) continue;
        break;
      case NameRole.connection:
      case NameRole.keepAlive:
      case NameRole.upgrade:
      case NameRole.transferEncoding:
        continue;
      case NameRole.te:
        if (te || !listsTrailers(field.value)) continue;
        te = true;
        fields[kept++] = TE_TRAILERS;
        continue;
      default:
        break;
    }
    fields[kept++] = field;
  }
  // Setting a length is slow even where it changes nothing.
  if (kept < fields.length) fields.length = kept;
}
