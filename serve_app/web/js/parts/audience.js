// Who liked a script and who passed: the segments of the panel, and the voters with what they said.

import { clear, h, svg } from "../dom.js";
import { fold, hint, pairs, plot } from "./fields.js";
import { count, percent, sentence, spaced } from "./words.js";

const SPLIT = 0.6; // polarisation; 1 is all or nothing from each viewer
const SHOWN = 60; // of a list

// The ballots with their voters' names. Names come with the run's events, which are not kept for ever.
export async function readVoters(runId, signal) {
  const read = async (path) => {
    const answer = await fetch(path, { signal });
    return answer.ok ? answer.text() : "";
  };
  const paths = [`/api/runs/${runId}/files/ballots.jsonl`, `/api/pipeline/status/${runId}?cursor=0`];
  const [ballots, log] = await Promise.all(paths.map(read));
  const people = new Map();
  for (const line of log.split("\n")) {
    if (!line.startsWith("data:") || !line.includes("s4_task_started")) continue;
    const { event, data } = JSON.parse(line.slice(5));
    if (event === "s4_task_started") people.set(data.persona_id, data);
  }
  return ballots.split("\n").filter(Boolean).map((line) => {
    const ballot = JSON.parse(line);
    return { ...ballot, ...people.get(ballot.persona_id) };
  });
}

export function audience(row, ranking, voters, signal) {
  const shown = h("div", {}, h("p", { class: "busy" }, "Reading the ballots…"));
  voters.then((all) => signal.aborted || clear(shown, lists(all, row.script_id)),
    () => signal.aborted || clear(shown, hint("The ballots could not be read.")));
  const split = row.polarisation > SPLIT && " It divides the panel.";
  return h("section", { class: "card stack" }, h("h3", {}, "The panel"),
    h("p", {}, `${row.first_choices} of ${count(ranking.ballots, "viewer")} put it first; `,
      `it is on ${count(row.mentions, "ballot")}.`, split),
    ranking.evidence && [beside(row, ranking.evidence), against(row, ranking), segments(row, ranking)], shown);
}

// How the next one stands to it, and where it would be by another rule.
function beside({ rank }, { above, rules, draws }) {
  const next = above[rank - 1]?.[rank];
  return hint(
    next !== undefined && `Above rank ${rank + 1} on ${percent(next)} of ${draws.toLocaleString("en")} panels drawn again. `,
    rules.length > 0 && `By other rules: ${rules.map(({ name, ranks }) => `${name} ${ranks[rank - 1]}`).join(", ")}.`);
}

function against({ rank }, { rows, evidence: { above, draws } }) {
  return fold("Against each other script", hint(`On which share of ${draws.toLocaleString("en")} panels drawn again it is above that one.`),
    pairs(rows.filter((other) => other.rank !== rank).map((other) =>
      [`${other.rank}. ${other.hook}`, percent(above[rank - 1][other.rank - 1])])));
}

// Mean points from each part of the panel, the fondest first; the line is the mean of all. Weights, which are for the
// ranking, count in neither.
function segments({ rank }, { evidence }) {
  const parts = evidence.segments.map((part) => ({ ...part, mean: part.points[rank - 1] }));
  const whole = parts.filter(({ by }) => by === parts[0].by); // each way of dividing has everybody
  const sum = (of) => whole.reduce((total, part) => total + of(part), 0);
  const mean = sum((part) => part.voters * part.mean) / sum((part) => part.voters);
  parts.sort((a, b) => b.mean - a.mean);
  const x = (points) => `${20 * points}%`;
  return h("table", { class: "segments" }, h("caption", { class: "hint" }, "Mean points by part of the panel, of 5"),
    h("tbody", {}, parts.map((part) => h("tr", {},
      h("th", { scope: "row" }, sentence(spaced(`${part.by}: ${part.name}`)), h("small", {}, ` ${count(part.voters, "viewer")}`)),
    h("td", { class: "plot" }, plot(16,
      svg("rect", { class: "bar-fill", width: x(part.mean), height: 8, y: 4, rx: 4 }),
      svg("line", { class: "coin", x1: x(mean), x2: x(mean), y1: 0, y2: 16 }))),
    h("td", { class: "num" }, part.mean.toFixed(1))))));
}

function lists(voters, scriptId) {
  const at = (voter) => voter.top.indexOf(scriptId);
  const loved = voters.filter((voter) => at(voter) >= 0).sort((a, b) => at(a) - at(b));
  const passed = voters.filter((voter) => at(voter) < 0);
  const line = (voter) => h("li", {}, h("b", {}, voter.name ?? voter.persona_id),
    h("span", { class: "hint" }, [voter.age, voter.occupation, voter.location].filter(Boolean).join(", ")),
    at(voter) >= 0 && h("span", { class: "chip on" }, `no. ${at(voter) + 1}`),
    voter.reaction && h("p", { class: "said" }, voter.reaction));
  const list = (title, some) => some.length > 0 && fold([title, h("small", {}, ` ${some.length}`)],
    h("ul", { class: "voters", tabindex: "0", "aria-label": title }, some.slice(0, SHOWN).map(line)),
    some.length > SHOWN && hint(`And ${some.length - SHOWN} more: see ballots.jsonl in the ZIP.`));
  const liked = list("Ranked it", loved);
  if (liked) liked.open = true;
  return [liked, list("Left it off their ballot", passed)];
}
