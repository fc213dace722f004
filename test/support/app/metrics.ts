/**
 * Adds up the samples of a metric on a proxy's admin port; 0 if there are none.
 *
 * @param labels text that the labels of a sample must hold: `result="ok"`.
 */
export async function metricSum(adminPort: number, name: string, labels = ""): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
  const page = await response.text();
  if (!response.ok) throw new Error(`metrics: ${response.status} ${page}`);
  let sum = 0;
  for (const line of page.split("\n")) {
    const [, found, text = "", value] = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)/.exec(line) ?? [];
    if (found === name && text.includes(labels)) sum += Number(value);
  }
  return sum;
}
