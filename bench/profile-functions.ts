interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

/** The part of a V8 CPU profile that is read here. */
export interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Not work: the process waits, or the profile has nothing to say. */
const WAITING = new Set(["(idle)", "(root)"]);

/**
 * Functions by the time that they took themselves, without those they called.
 *
 * @param microsPerRequest of the whole process; the shares of the profile are of its second half, when all is compiled.
 */
export function functionsOf(
  { nodes, samples, timeDeltas }: CpuProfile,
  microsPerRequest: number,
): readonly Record<string, string>[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const micros = new Map<string, number>();
  let total = 0;
  for (let i = samples.length >> 1; i < samples.length; i++) {
    const name = names.get(samples[i] ?? 0) ?? "?";
    if (WAITING.has(name)) continue;
    const delta = Math.max(0, timeDeltas[i] ?? 0);
    micros.set(name, (micros.get(name) ?? 0) + delta);
    total += delta;
  }
  return [...micros]
    .sort(([, a], [, b]) => b - a)
    .map(([name, own]) => ({
      share: `${((100 * own) / total).toFixed(1)}%`,
      "us/request": ((microsPerRequest * own) / total).toFixed(2),
      function: name,
    }));
}

/** The part of a V8 sampling heap profile that is read here. */
export interface AllocationProfile {
  readonly head: AllocationNode;
}

interface AllocationNode {
  readonly callFrame: CallFrame;
  /** Bytes, estimated from the samples. */
  readonly selfSize: number;
  readonly children: readonly AllocationNode[];
}

/** Functions by the bytes that they allocated themselves. */
export function allocatorsOf(
  { head }: AllocationProfile,
  requests: number,
): { readonly bytesPerRequest: number; readonly rows: readonly Record<string, string>[] } {
  const bytes = new Map<string, number>();
  let total = 0;
  const waiting = [head];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    const name = nameOf(node.callFrame);
    bytes.set(name, (bytes.get(name) ?? 0) + node.selfSize);
    total += node.selfSize;
    waiting.push(...node.children);
  }
  const rows = [...bytes]
    .sort(([, a], [, b]) => b - a)
    .map(([name, own]) => ({
      share: `${((100 * own) / total).toFixed(1)}%`,
      "bytes/request": (own / requests).toFixed(0),
      function: name,
    }));
  return { bytesPerRequest: total / requests, rows };
}

function nameOf({ functionName, url, lineNumber }: CallFrame): string {
  const file = url.split("/").slice(-2).join("/");
  const place = file === "" ? "" : ` ${file}:${lineNumber + 1}`;
  return `${functionName === "" ? "(anonymous)" : functionName}${place}`;
}
