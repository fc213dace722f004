/** A run as a short section of a README. */
import { FIGURES, OURS } from "../figures.ts";
import { peersOf } from "./compared.ts";
import { dateText, isMeasured, number, NOTHING, RATIO_DIGITS, roundsText, titleOf } from "./format.ts";
import type { Goal } from "./goals.ts";
import { plain, row } from "./markdown.ts";
import { commitText } from "./page.ts";
import type { RunReport, ScenarioReport } from "./run-report.ts";
import { measuredText } from "./terminal.ts";

const BEGIN = "<!-- bench:begin -->";
const END = "<!-- bench:end -->";

/** A README is read, not searched: the page has everything. */
const LINES_MAX = 39;
/** Everything but the rows of the table and the goals: head, blank lines, the line about rows that are left out. */
const OTHER_LINES = 9;

/** Our figure of each scenario and its ratio to each other proxy, and every goal that was not met. */
export function readmeSection(report: RunReport, goals: readonly Goal[]): string {
  const notMet = goals.filter(({ met }) => met === false);
  const peers = peersOf(report);
  const room = LINES_MAX - OTHER_LINES - notMet.length;
  const shown = report.scenarios.slice(0, room);
  const hidden = report.scenarios.length - shown.length;
  return [
    `${about(report)}${absentText(report)}`,
    "",
    row(["scenario", "Outrigger", ...peers.map((name) => `to ${plain(name)}`)]),
    row(["---", "---:", ...peers.map(() => "---:")]),
    ...shown.map((scenario) => scenarioRow(scenario, peers)),
    ...(hidden > 0 ? ["", `${hidden} more scenarios are in the results.`] : []),
    "",
    ...goalLines(goals, notMet),
  ].join("\n");
}

/**
 * Puts the section where the last one was.
 *
 * @throws if the text does not say where: each marker once, the beginning first.
 */
export function replaceSection(text: string, section: string): string {
  const begin = onlyPlaceOf(text, BEGIN);
  const end = onlyPlaceOf(text, END);
  if (begin > end) throw new Error(`found ${END} before ${BEGIN}, expected it after`);
  return `${text.slice(0, begin + BEGIN.length)}\n${section}\n${text.slice(end)}`;
}

function onlyPlaceOf(text: string, marker: string): number {
  const found = text.split(marker).length - 1;
  if (found !== 1) throw new Error(`found ${marker} ${found} times, expected it once`);
  return text.indexOf(marker);
}

function about({ date, commit, machine, options }: RunReport): string {
  const { cores, model, kernel, node, pinned } = machine;
  const where = `${cores} cores of ${plain(model)}, kernel ${plain(kernel)}, Node ${plain(node)}`;
  const apart = pinned ? "" : ", load and proxies not kept on cores of their own";
  return (
    `Measured ${plain(dateText(date))}, commit ${plain(commitText(commit))}, on ${where}${apart}; ` +
    `${roundsText(options)}. Ratios are ours to theirs: below 1 is better, for MiB/s above.`
  );
}

function absentText({ absent }: RunReport): string {
  return absent.length === 0
    ? ""
    : ` Not on that machine: ${plain(absent.map(({ name }) => name).join(", "))}.`;
}

function scenarioRow({ name, subject, ways }: ScenarioReport, peers: readonly string[]): string {
  const ours = ways.find((way) => way.name === OURS)?.figures[subject];
  const figure = isMeasured(ours)
    ? `${number(ours.median, FIGURES[subject].digits)} ${titleOf(subject)}`
    : NOTHING;
  const ratios = peers.map((peer) =>
    number(ways.find((way) => way.name === peer)?.ratios[subject]?.median, RATIO_DIGITS),
  );
  return row([plain(name), figure, ...ratios]);
}

function goalLines(goals: readonly Goal[], notMet: readonly Goal[]): readonly string[] {
  const met = goals.filter((goal) => goal.met === true).length;
  const unknown = goals.length - met - notMet.length;
  const tally = `Goals: ${met} met, ${notMet.length} not met, ${unknown} not measured by this run.`;
  if (notMet.length === 0) return [tally];
  const lines = notMet.map(
    (goal) => `- ${plain(goal.name)}: ${measuredText(goal)}, expected ${goal.goal} (${plain(goal.scenario)})`,
  );
  return [`${tally} Not met:`, "", ...lines];
}
