/** Addresses of this host, as many as endpoints are wanted. */
const ADDRESSES_MAX = 1_000;

/** Those that end in 0 and 255 are left out: elsewhere they name a network and everybody in it. */
const HOSTS = 254;

/** 127.0.0.1, 127.0.0.2, ... 127.0.0.254, 127.0.1.1, ... @throws RangeError for more than 1,000. */
export function loopbackAddresses(count: number): readonly string[] {
  if (!Number.isInteger(count) || count < 1 || count > ADDRESSES_MAX) {
    throw new RangeError(`found ${count} addresses, expected 1 to ${ADDRESSES_MAX}`);
  }
  return Array.from({ length: count }, (_, i) => `127.0.${Math.floor(i / HOSTS)}.${(i % HOSTS) + 1}`);
}
