/** What every program of this folder is told, as its command line `PART PORT TARGET_PORT CERTS`, and what follows from it. */
import { readFileSync } from "node:fs";
import { TLS_SUITE, type Certs } from "../peer.ts";

const [partText = "proxy", portText = "0", targetPortText = "0", certsJson = "{}"] = process.argv.slice(2);

/** `proxy`, `outbound` or `inbound`. */
export const part = partText;
export const port = Number(portText);
export const targetPort = Number(targetPortText);
// The bench wrote it.
export const certs = JSON.parse(certsJson) as Certs;

/** For both ends of mutual TLS. */
export const tls = {
  key: readFileSync(certs.key),
  cert: readFileSync(certs.cert),
  ca: readFileSync(certs.ca),
  minVersion: "TLSv1.3",
  ciphers: TLS_SUITE,
} as const;

/** For both ends of HTTP/2: windows that never hold a stream back. */
export const session = {
  settings: { initialWindowSize: 1 << 20, enablePush: false },
  maxSessionMemory: 1000,
};
export const CONNECTION_WINDOW_BYTES = 1 << 24;
