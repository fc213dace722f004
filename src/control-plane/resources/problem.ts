/** A place in a manifest: file as it is shown to people, and line from 1. */
export interface Origin {
  readonly file: string;
  readonly line: number;
}

/** Something wrong, or doubtful, at one place of a manifest. */
export interface Problem extends Origin {
  /** Path of the field from the document's root, such as `spec.ports[0].port`; empty for the document itself. */
  readonly field: string;
  /** What was found and what was expected. */
  readonly text: string;
}

/** `file:line: field.path: found X, expected Y`. */
export function formatProblem(problem: Problem): string {
  const field = problem.field === "" ? "" : `${problem.field}: `;
  return `${problem.file}:${problem.line}: ${field}${problem.text}`;
}
