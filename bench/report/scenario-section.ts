/** One scenario on the page. */
import type { FigureName } from "../figures.ts";
import { barPlot } from "./bar-plot.ts";
import { latencyPlot, memoryPlot } from "./line-plots.ts";
import { html, type Markup } from "./markup.ts";
import { HEIGHT, TALL_HEIGHT } from "./plot.ts";
import { swatch, type Palette } from "./palette.ts";
import type { ScenarioReport } from "./run-report.ts";
import { addedTable, figuresTable, isLatency } from "./scenario-tables.ts";

/** @param anchor the `id` of the section, and the beginning of those of its plots. */
export function scenarioSection(scenario: ScenarioReport, anchor: string, palette: Palette): Markup {
  const { name, title, subject, ways } = scenario;
  const bars = (figure: FigureName): Markup | undefined =>
    barPlot(scenario, figure, `${anchor}-${figure}`, palette);
  const others = [
    ...barsOf(subject).map(bars),
    memoryPlot(scenario, `${anchor}-memory`, palette) ?? bars("rssMiB"),
  ].filter((plot) => plot !== undefined);
  const latency = latencyPlot(
    scenario,
    `${anchor}-latency`,
    palette,
    others.length > 1 ? TALL_HEIGHT : HEIGHT,
  );
  return html`<section id="${anchor}" class="scenario">
    <h2>${name}</h2>
    <p class="lead">${title}</p>
    ${legend(
      ways.map((way) => way.name),
      palette,
    )}
    <div class="plots">${latency} ${others}</div>
    ${figuresTable(scenario, palette)} ${isLatency(subject) ? addedTable(scenario, palette) : undefined}
  </section>`;
}

/** Processor time always; what the scenario is about before it, where a curve does not tell more. */
function barsOf(subject: FigureName): readonly FigureName[] {
  return subject === "cpuMicros" || isLatency(subject) ? ["cpuMicros"] : [subject, "cpuMicros"];
}

/** Which line is whose. */
export function legend(names: readonly string[], palette: Palette): Markup {
  return html`<ul class="legend">
    ${names.map((name) => html`<li>${swatch(palette(name))} ${name}</li>`)}
  </ul>`;
}
