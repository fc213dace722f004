/** One line of a page of metrics. */
export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** Reads the samples of a page in the Prometheus text format; comments and what is no sample are left out. */
export function parseSamples(page: string): readonly Sample[] {
  const samples: Sample[] = [];
  for (const line of page.split("\n")) {
    const [, name, labelText = "", value] = SAMPLE.exec(line) ?? [];
    if (name === undefined) continue;
    const labels = new Map<string, string>();
    for (const [, label = "", text = ""] of labelText.matchAll(LABEL)) labels.set(label, unescaped(text));
    samples.push({ name, labels, value: Number(value) });
  }
  return samples;
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char));
}

/** Which samples are meant: of this name, with at least these labels. */
export interface SampleQuery {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The samples that grew from one page to the next; a series that was not there before has grown from 0. */
export function grown(
  before: readonly Sample[],
  after: readonly Sample[],
  query: SampleQuery,
): readonly Sample[] {
  const earlier = new Map(before.filter((one) => fits(one, query)).map((one) => [keyOf(one), one.value]));
  return after.filter((one) => fits(one, query) && one.value > (earlier.get(keyOf(one)) ?? 0));
}

function fits({ name, labels }: Sample, query: SampleQuery): boolean {
  if (name !== query.name) return false;
  return Object.entries(query.labels).every(([label, value]) => labels.get(label) === value);
}

function keyOf({ labels }: Sample): string {
  return JSON.stringify([...labels].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The different values of a label, in order of appearance. */
export function valuesOf(samples: readonly Sample[], label: string): readonly string[] {
  return [...new Set(samples.map(({ labels }) => labels.get(label) ?? ""))];
}
