import { cidrContains, formatCidr } from "../../addr/cidr.ts";
import type { Network } from "../../policy/server-policy.ts";
import { report } from "./found.ts";
import { BAD, listOf, object, required, refine, withDefault, type Reader } from "./reader.ts";
import { cidr } from "./words.ts";

/** A block with exceptions. An exception outside the block is a mistake: it would have no effect. */
const network: Reader<Network> = refine(
  object({ cidr: required(cidr), except: withDefault(listOf(cidr), []) }),
  (value, at) => {
    const outside = value.except.find(
      (except) => except.prefix < value.cidr.prefix || !cidrContains(value.cidr, except.ip),
    );
    if (outside === undefined) return { net: value.cidr, except: value.except };
    report(
      { ...at, path: `${at.path}.except` },
      `found ${formatCidr(outside)}, expected a part of ${formatCidr(value.cidr)}`,
    );
    return BAD;
  },
);

export const networks = listOf(network, { min: 1 });
