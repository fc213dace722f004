/** Whether every tag of a page is closed where it has to be. */

/** A tag, a comment or a declaration; attributes have names of letters and values in double quotes. */
const TAG =
  /<(?:!doctype html|(\/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[a-zA-Z][a-zA-Z0-9:-]*="[^"<]*")*)\s*(\/?))>/g;

/** @returns what is wrong, nothing if the page is well-formed. */
export function problemsOf(page: string): readonly string[] {
  const problems: string[] = [];
  const open: string[] = [];
  let end = 0;
  for (const match of page.matchAll(TAG)) {
    const [tag, isClosing, name, , isEmpty] = match;
    const text = page.slice(end, match.index);
    if (/[<>]/.test(text.replaceAll(/\/\*.*?\*\//gs, "")))
      problems.push(`a stray bracket in: ${text.slice(0, 80)}`);
    end = match.index + tag.length;
    if (name === undefined || isEmpty === "/") continue;
    if (isClosing !== "/") open.push(name);
    else if (open.pop() !== name) problems.push(`${tag} closes what is not open at ${match.index}`);
  }
  if (page.slice(end).trim() !== "") problems.push(`text after the end: ${page.slice(end).slice(0, 80)}`);
  return [...problems, ...open.map((name) => `<${name}> is not closed`)];
}
