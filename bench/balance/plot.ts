import type { Run, SimulationParams } from "./simulation.ts";

const WIDTH = 860;
const HEIGHT = 360;
const PANEL = { top: 48, bottom: 300, left: 64, right: 480 };
const BARS = { left: 580, right: 830 };
const COLOURS: Record<Run["strategy"], string> = {
  p2c: "#1b7f5c",
  "round-robin": "#c2512e",
  random: "#5b6bb5",
};

/** A drawing of runs side by side, complete in itself: the slow endpoint's share over time, and the 99th percentiles. */
export function plot(runs: readonly Run[], params: SimulationParams): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="#222">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    ...sharePanel(runs, params),
    ...latencyPanel(runs),
    ...runs.map(legend),
    "</svg>",
    "",
  ].join("\n");
}

function sharePanel(
  runs: readonly Run[],
  { endMs, slowAtMs, fastMs, slowMs, sliceMs }: SimulationParams,
): string[] {
  const { top, bottom, left, right } = PANEL;
  const x = (ms: number): number => left + ((right - left) * ms) / endMs;
  const highest = Math.max(0.05, ...runs.flatMap(({ slices }) => slices.map((s) => s.slowShare)));
  const y = (share: number): number => bottom - ((bottom - top) * share) / highest;
  const seconds = Array.from({ length: Math.floor(endMs / 2000) + 1 }, (_, i) => i * 2);
  const shares = Array.from({ length: Math.floor(highest / 0.05) + 1 }, (_, i) => i * 0.05);
  return [
    text(left, top - 20, `Share of requests to the endpoint that goes from ${fastMs} ms to ${slowMs} ms`),
    ...shares.map(
      (s) => line(left, y(s), right, y(s), "#e4e4e4") + text(left - 8, y(s) + 4, percent(s), "end"),
    ),
    ...seconds.map((s) => text(x(s * 1000), bottom + 18, `${s} s`, "middle")),
    line(x(slowAtMs), top, x(slowAtMs), bottom, "#999", "4 3"),
    ...runs.map(({ strategy, slices }) => {
      const points = slices.map((s) => `${round(x(s.atMs + sliceMs / 2))},${round(y(s.slowShare))}`);
      return `<polyline fill="none" stroke="${COLOURS[strategy]}" stroke-width="2" points="${points.join(" ")}"/>`;
    }),
  ];
}

/** Latencies differ by orders of magnitude: the axis is logarithmic, from 1 ms. */
function latencyPanel(runs: readonly Run[]): string[] {
  const { top, bottom } = PANEL;
  const { left, right } = BARS;
  const decades = Math.ceil(Math.log10(Math.max(...runs.map(({ p99Ms }) => p99Ms))));
  const y = (ms: number): number => bottom - ((bottom - top) * Math.log10(Math.max(1, ms))) / decades;
  const step = (right - left) / runs.length;
  const ticks = Array.from({ length: decades + 1 }, (_, i) => 10 ** i);
  return [
    text(left, top - 20, "Latency: p50 (pale) and p99"),
    ...ticks.map(
      (ms) => line(left, y(ms), right, y(ms), "#e4e4e4") + text(left - 8, y(ms) + 4, `${ms} ms`, "end"),
    ),
    ...runs.flatMap(({ strategy, p50Ms, p99Ms }, i) => {
      const at = left + i * step + step / 2;
      const colour = COLOURS[strategy];
      return [
        bar(at - 26, y(p50Ms), bottom, colour, 0.4),
        bar(at + 2, y(p99Ms), bottom, colour, 1),
        text(at, y(p99Ms) - 6, p99Ms.toFixed(p99Ms < 100 ? 1 : 0), "start"),
        text(at, bottom + 18, strategy, "middle"),
      ];
    }),
  ];
}

function legend({ strategy, slowShare }: Run, i: number): string {
  const at = PANEL.left + i * 150;
  return (
    bar(at, HEIGHT - 26, HEIGHT - 16, COLOURS[strategy], 1) +
    text(at + 32, HEIGHT - 16, `${strategy} ${percent(slowShare)}`)
  );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1).replace(/\.0$/, "")} %`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function text(x: number, y: number, content: string, anchor = "start"): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${content}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number, stroke: string, dashes = ""): string {
  const dashed = dashes === "" ? "" : ` stroke-dasharray="${dashes}"`;
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${stroke}"${dashed}/>`;
}

function bar(x: number, top: number, bottom: number, fill: string, opacity: number): string {
  return `<rect x="${round(x)}" y="${round(top)}" width="24" height="${round(bottom - top)}" fill="${fill}" opacity="${opacity}"/>`;
}
