import { RequestHead } from "./message.ts";

/**
 * A head that may be changed without the other noticing: layers change heads in place, and whoever sends a request again
 * needs it as it came. Fields themselves are immutable, so this copies references alone.
 */
export function copyRequestHead(head: RequestHead): RequestHead {
  const { version, method, scheme, authority, path, fields, startedAtMs } = head;
  const copy = new RequestHead(version, method, scheme, authority, path, fields.slice(), startedAtMs);
  copy.absoluteForm = head.absoluteForm;
  copy.upgrade = head.upgrade;
  copy.timeouts = head.timeouts;
  copy.client = head.client;
  copy.routeLabels = head.routeLabels;
  return copy;
}
