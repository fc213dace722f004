/** Markup from values, in which a text from outside cannot become a tag. */

/** Text in which everything from outside is escaped already. Only this file makes it. */
export class Markup {
  readonly #text: string;

  constructor(literal: string) {
    this.#text = literal;
  }

  toString(): string {
    return this.#text;
  }
}

/** What may stand between the fixed parts: texts and numbers are escaped, undefined is nothing. */
export type Part = string | number | Markup | readonly Markup[] | undefined;

/** HTML or SVG: ``html`<td>${name}</td>` ``. Attribute values have to stand in double quotes. */
export function html(literals: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  let text = unindented(literals[0]);
  for (const [i, part] of parts.entries()) text += textOf(part) + unindented(literals[i + 1]);
  return new Markup(text);
}

/** The indentation of the source would be most of a page. */
function unindented(literal = ""): string {
  return literal.replaceAll(/\n\s*/g, "\n");
}

function textOf(part: Part): string {
  if (part === undefined) return "";
  if (part instanceof Markup) return part.toString();
  if (typeof part === "object") return part.join("\n");
  return escape(String(part));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
