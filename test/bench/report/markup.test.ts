import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { html } from "../../../bench/report/markup.ts";

describe("html", () => {
  it("escapes every text, in content and in attributes", () => {
    const hostile = `"><script>alert('&')</script>`;
    assert.equal(
      html`<td title="${hostile}">${hostile}</td>`.toString(),
      '<td title="&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;">' +
        "&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;</td>",
    );
  });

  it("takes markup as it is, alone and in lists, and nothing for undefined", () => {
    const items = ["a", "<"].map((text) => html`<b>${text}</b>`);
    assert.equal(
      html`<i>${items}${undefined}${items[0]}</i>`.toString(),
      "<i><b>a</b>\n<b>&lt;</b><b>a</b></i>",
    );
  });

  it("keeps the white space of values", () => {
    assert.equal(html`<b>${"a\n   b"}</b>`.toString(), "<b>a\n   b</b>");
  });
});
