/** The goals on the page: what was promised, what was measured, and how far it is from the limit. */
import type { Goal } from "./goals.ts";
import { html, type Markup } from "./markup.ts";
import { coordinate } from "./plot.ts";
import { measuredText, verdictOf } from "./terminal.ts";

/** Before each verdict, so that it does not depend on colour. */
const SIGNS = { met: "✓", "not met": "✗", "not measured": "·" } as const;
const CLASSES = { met: "good", "not met": "bad", "not measured": "none" } as const;

/** @param anchorOf the place of a scenario on the page; undefined if it is not there. */
export function goalsSection(
  goals: readonly Goal[],
  anchorOf: (scenario: string) => string | undefined,
): Markup {
  return html`<section id="goals">
    <h2>Goals</h2>
    <p class="tally">
      ${(["met", "not met", "not measured"] as const).map((verdict) => {
        const count = goals.filter((goal) => verdictOf(goal) === verdict).length;
        return html`<span class="pill ${CLASSES[verdict]}">${SIGNS[verdict]} ${count} ${verdict}</span>`;
      })}
    </p>
    <div class="scroll">
      <table class="goals">
        <caption class="unseen">
          Goals against what was measured
        </caption>
        <thead>
          <tr>
            <th scope="col">goal</th>
            <th scope="col">expected</th>
            <th scope="col">measured</th>
            <th scope="col">of the limit</th>
            <th scope="col">verdict</th>
            <th scope="col">scenario</th>
          </tr>
        </thead>
        <tbody>
          ${goals.map((goal) => row(goal, anchorOf(goal.scenario)))}
        </tbody>
      </table>
    </div>
  </section>`;
}

function row(goal: Goal, anchor: string | undefined): Markup {
  const verdict = verdictOf(goal);
  return html`<tr>
    <th scope="row">${goal.name}</th>
    <td>${goal.goal}</td>
    <td>${measuredText(goal)}</td>
    <td>${gauge(goal)}</td>
    <td class="${CLASSES[verdict]}">${SIGNS[verdict]} ${verdict}</td>
    <td>${anchor === undefined ? goal.scenario : html`<a href="#${anchor}">${goal.scenario}</a>`}</td>
  </tr>`;
}

const GAUGE_WIDTH = 120;
/** Where the limit stands; what lies beyond is room for what is worse. */
const GAUGE_LIMIT = 80;

/** Tells nothing that the cells beside it do not tell in numbers. */
function gauge({ measured, limit, met }: Goal): Markup | undefined {
  if (measured === undefined) return undefined;
  const width = Math.min(GAUGE_WIDTH, Math.max(1, (measured / limit) * GAUGE_LIMIT));
  return html`<svg class="gauge" viewBox="0 0 ${GAUGE_WIDTH} 14" aria-hidden="true">
    <rect class="track" y="4" width="${GAUGE_WIDTH}" height="6" rx="3" />
    <rect
      class="${met === true ? "full good" : "full bad"}"
      y="4"
      width="${coordinate(width)}"
      height="6"
      rx="3"
    />
    <path class="limit" d="M${GAUGE_LIMIT} 0V14" />
  </svg>`;
}
