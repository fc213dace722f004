/** All scenarios at a glance, before the details of each. */
import { FIGURES, OURS } from "../figures.ts";
import { comparedScenarios, peersOf } from "./compared.ts";
import { number, titleOf } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import { overviewPlot } from "./overview-plot.ts";
import type { Palette } from "./palette.ts";
import type { RunReport, ScenarioReport } from "./run-report.ts";
import { legend } from "./scenario-section.ts";
import { ratioText } from "./scenario-tables.ts";

/** @returns undefined where nothing was compared. */
export function overview(
  report: RunReport,
  anchorOf: (scenario: string) => string | undefined,
  palette: Palette,
): Markup | undefined {
  const compared = comparedScenarios(report);
  const plot = overviewPlot(compared, "overview", palette);
  if (plot === undefined) return undefined;
  const others = peersOf(report);
  return html`<section id="overview-section">
    <h2>At a glance</h2>
    ${legend(others, palette)}
    <div class="plots">
      ${plot}
      <div class="scroll">
        <table>
          <caption class="unseen">
            Our figure of each scenario, and its ratio to each other way
          </caption>
          <thead>
            <tr>
              <th scope="col">scenario</th>
              <th scope="col">Outrigger</th>
              ${others.map((name) => html`<th scope="col">to ${name}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${compared.map((scenario) => row(scenario, anchorOf(scenario.name), others))}
          </tbody>
        </table>
      </div>
    </div>
  </section>`;
}

function row(
  { name, subject, ways }: ScenarioReport,
  anchor: string | undefined,
  others: readonly string[],
): Markup {
  const ours = ways.find((way) => way.name === OURS)?.figures[subject];
  const ratios = others.map((other) => ways.find((way) => way.name === other)?.ratios[subject]);
  return html`<tr>
    <th scope="row"><a href="#${anchor}">${name}</a></th>
    <td>${number(ours?.median, FIGURES[subject].digits)}<small>${titleOf(subject)}</small></td>
    ${ratios.map((ratio) => html`<td>${ratioText(ratio, subject)}</td>`)}
  </tr>`;
}
