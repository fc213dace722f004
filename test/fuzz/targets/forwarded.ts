/** The header by which a gateway knows a request again: anybody may have written it before. */
import assert from "node:assert/strict";
import { formatForwarded, isForwardedBy } from "../../../src/gateway/forwarded.ts";
import { words, type FuzzTarget } from "../target.ts";

const US = "gateway.shop.serviceaccount.identity.linkerd.cluster.local";
const OURS = formatForwarded({ by: US, for: "web.east", host: "web:80" });

export const forwarded: FuzzTarget = {
  name: "forwarded",
  dictionary: words("by=", "By = ", "for=", ";", ",", ", ", '"', "\\", '\\"', "=", US, `by=${US}`),
  seeds: () => [
    words(OURS),
    words(`for="a;b,c", by=${US}`),
    words(`for="x;by=${US}`),
    words(`by="${US.replaceAll(".", "\\.")}"`),
  ],
  run: (input) => {
    const text = Buffer.concat(input).toString("latin1");
    // Whatever stands before or behind, joined by whoever, what we wrote is found.
    assert.ok(isForwardedBy(`${text}, ${OURS}`, US));
    assert.ok(isForwardedBy(`${OURS}, ${text}`, US));
    // An identity is one value, whatever is in it.
    const written = formatForwarded({ by: US, for: text, host: "web" });
    assert.match(written, /^[\x20-\x7e]+$/);
    assert.ok(
      isForwardedBy(formatForwarded({ by: text, for: "", host: "" }), text) || !/^[\x20-\x7e]+$/.test(text),
    );
    return [isForwardedBy(text, US) ? "seen" : "not seen", text.includes('"') ? "quoted" : "plain"];
  },
};
