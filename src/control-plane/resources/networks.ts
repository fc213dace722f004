import { cidrContains, formatCidr } from "../../addr/cidr.ts";
import type { Network } from "../../policy/server-policy.ts";
import { report } from "./found.ts";
import { BAD, listOf, object, required, refine, withDefault, type Reader } from "./reader.ts";
import { cidr } from "./words.ts";

/** A block with exceptions. An exception outside the block is a mistake: it would have no effect. So is one that leaves nothing. */
const network: Reader<Network> = refine(
  object({ cidr: required(cidr), except: withDefault(listOf(cidr), []) }),
  (value, at) => {
    const { cidr: net, except } = value;
    const outside = except.find((e) => e.prefix <= net.prefix || !cidrContains(net, e.ip));
    if (outside === undefined) return { net, except };
    const isAll = outside.prefix <= net.prefix && cidrContains(outside, net.ip);
    report(
      { ...at, path: `${at.path}.except` },
      `found ${formatCidr(outside)}${isAll ? ", which leaves nothing" : ""}, expected a part of ${formatCidr(net)}`,
    );
    return BAD;
  },
);

export const networks = listOf(network, { min: 1 });
