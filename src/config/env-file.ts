/** The outcome of reading an env file: its variables, or every problem with its line. */
export type EnvFile =
  | { readonly ok: true; readonly values: ReadonlyMap<string, string> }
  | { readonly ok: false; readonly problems: readonly string[] };

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Reads `NAME=VALUE` lines.
 *
 * Blank lines and lines starting with `#` are skipped. A value without quotes is trimmed and ends before ` #`. A value in
 * single quotes is literal; in double quotes `\n`, `\"` and `\\` are escapes, and both may span lines, so that PEM text
 * can be given as it is. After a closing quote only blanks and a comment may follow. A name set twice is a problem.
 */
export function parseEnvFile(text: string): EnvFile {
  const values = new Map<string, string>();
  const setOn = new Map<string, number>();
  const problems: string[] = [];
  const lines = text.split(/\r?\n/);
  let at = 0;
  while (at < lines.length) {
    const number = at + 1;
    const line = (lines[at++] ?? "").trimStart();
    if (line === "" || line.startsWith("#")) continue;
    const equals = line.indexOf("=");
    const name = (equals < 0 ? line : line.slice(0, equals)).trim();
    if (equals < 0 || !NAME.test(name)) {
      const fault = equals < 0 ? "has no =" : `${JSON.stringify(name)} is not a variable name`;
      problems.push(`line ${number}: ${fault}, expected NAME=VALUE`);
      continue;
    }
    let rest = line.slice(equals + 1).trimStart();
    const quote = rest.startsWith('"') || rest.startsWith("'") ? rest.slice(0, 1) : "";
    // A quote that stays open takes further lines until it closes.
    if (quote !== "") {
      while (closingQuote(rest, quote) < 0 && at < lines.length) rest += `\n${lines[at++] ?? ""}`;
    }
    const value = quote === "" ? plainValue(rest) : quotedValue(rest, quote);
    const earlier = setOn.get(name);
    if (value === undefined)
      problems.push(`line ${number}: the quotes of ${name} are not closed, or text follows them`);
    else if (earlier !== undefined)
      problems.push(`line ${number}: ${name} is set twice, first on line ${earlier}`);
    else values.set(name, value);
    setOn.set(name, earlier ?? number);
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, values };
}

function plainValue(text: string): string {
  const comment = /(^|[ \t])#/.exec(text);
  return (comment === null ? text : text.slice(0, comment.index)).trim();
}

function quotedValue(text: string, quote: string): string | undefined {
  const close = closingQuote(text, quote);
  if (close < 0) return undefined;
  const after = text.slice(close + 1).trim();
  if (after !== "" && !after.startsWith("#")) return undefined;
  const inner = text.slice(1, close);
  if (quote === "'") return inner;
  return inner.replace(/\\([n"\\])/g, (_, c: string) => (c === "n" ? "\n" : c));
}

/** The index of the quote that closes the one at 0, or -1. */
function closingQuote(text: string, quote: string): number {
  for (let i = 1; i < text.length; i++) {
    if (quote === '"' && text[i] === "\\") i++;
    else if (text[i] === quote) return i;
  }
  return -1;
}
