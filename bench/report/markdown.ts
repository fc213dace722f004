/** Markdown from values, in which a text from outside stays a text. */

/** Escapes what has a meaning in a line or a table cell; `&lt;` so that no comment, and so no marker, can begin. */
export function plain(text: string): string {
  return text
    .replaceAll(/\s+/g, " ")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(/[\\|`*_[\]~]/g, String.raw`\$&`);
}

export function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}
