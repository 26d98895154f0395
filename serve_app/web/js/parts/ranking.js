// The ranking as a table: a row per script, with the range of ranks that the votes allow, and where the cut is open.

import { h, svg } from "../dom.js";
import { button as push, fold, hint, pairs, plot } from "./fields.js";
import { percent } from "./words.js";

// Neither clearly among the best nor clearly not; a notice counts these.
const isOpen = ({ p_top: p }) => p > 0.05 && p < 0.95;

// `pick(scriptId, byPerson)` is called for the row that is chosen. Without intervals, scores are drawn.
export function rankingTable({ ranking, requested }, pick) {
  const rows = ranking.rows;
  const sure = Boolean(ranking.evidence);
  const keep = ranking.evidence?.top_n ?? Math.min(requested.top_n, rows.length);
  const open = sure ? rows.filter(isOpen) : [];
  const most = Math.max(...rows.map((row) => row.score)) || 1;
  const buttons = new Map();
  const away = (row) => row.rank > keep && !open.includes(row);
  const line = (row) => {
    const button = push(row.hook, () => pick(row.script_id, true), { class: "hook" });
    buttons.set(row.script_id, button);
    return h("tr", { class: `${row.rank === keep ? "cut" : row.rank > keep ? "below" : ""} ${away(row) ? "away" : ""}` },
      h("td", { class: "place" }, row.rank), h("th", { scope: "row" }, button),
      h("td", { class: "plot" }, sure ? range(row, rows.length, keep) : bar(row.score / most),
        h("span", { class: "unseen" }, sure && said(row))),
      h("td", { class: "num" }, sure ? chance(row.p_top) : row.score));
  };
  const unfold = () => {
    const all = el.classList.toggle("all");
    more.setAttribute("aria-expanded", String(all));
    more.textContent = all ? "Show fewer" : `Show all ${rows.length}`;
  };
  const more = push(`Show all ${rows.length}`, unfold, { "aria-expanded": "false", hidden: !rows.some(away) });
  const el = h("div", { class: "ranked" },
    h("h2", { id: "ranked" }, "Ranking"),
    hint(sure
      ? "The dot is the rank; the line, the ranks that another panel of the same kind could have given (95 %)."
      : "Points from the ballots."),
    open.length > 0 && h("p", { class: "note warn" },
      `The cut after rank ${keep} is not resolved: ${open.length} scripts could fall on either side of it.`),
    h("table", { class: "ranking" },
      h("thead", {}, h("tr", {}, ["#", "Script", sure ? "Ranks" : "", sure ? `In top ${keep}` : "Points"].map((name) =>
        name ? h("th", { scope: "col" }, name) : h("td", {})))),
      h("tbody", {}, rows.map(line))),
    more, sure && readings(ranking.evidence), hint(`Rule: ${ranking.rule}.`));
  const mark = (id) => {
    for (const [key, button] of buttons) button.setAttribute("aria-pressed", String(key === id));
    return buttons.get(id);
  };
  return { el, mark };
}

// What was measured of the panel itself; what is past its threshold stands among the notices.
function readings({ agreement, position, length, reliability }) {
  const effect = (one) => one && `${one.slope.toFixed(2)} points (${one.low.toFixed(2)} to ${one.high.toFixed(2)})`;
  const rows = [
    ["Agreement", agreement && `W ${agreement.kendalls_w.toFixed(2)}, where dice stay under ${agreement.w_by_chance.toFixed(2)}`],
    ["Between two viewers", agreement && `tau ${agreement.mean_tau.toFixed(2)} on average`],
    ["From first shown to last", effect(position)],
    ["Ten words more", effect(length)],
    ["A viewer who is asked again", reliability?.tau != null && `tau ${reliability.tau.toFixed(2)}`],
    ["The same first choice, asked again", reliability?.same_first != null && percent(reliability.same_first)],
    ["The same words by two names", effect(reliability?.copy)],
    ["The deliberately dull script", reliability && `rank ${reliability.dull_rank} of ${reliability.scripts}`],
  ];
  return fold("The panel, measured", pairs(rows.filter(([, value]) => value)));
}

const said = ({ rank_low: low, rank_high: high }) => low === high ? `rank ${low}` : `ranks ${low} to ${high}`;
const chance = (p) => p >= 0.995 && p < 1 ? "> 99 %" : p > 0 && p < 0.005 ? "< 1 %" : percent(p);

function range(row, n, keep) {
  const { rank, rank_low: low, rank_high: high } = row;
  const x = (place) => `${4 + 92 * (place - 1) / Math.max(1, n - 1)}%`;
  return svg("svg", { "aria-hidden": "true", width: "100%", height: 26, class: isOpen(row) ? "open" : "" },
    keep < n && svg("line", { class: "coin", x1: x(keep + 0.5), x2: x(keep + 0.5), y1: 0, y2: 26 }),
    svg("line", { class: "range", x1: x(low), x2: x(high), y1: 13, y2: 13 }),
    svg("circle", { class: "dot", cx: x(rank), cy: 13, r: 5 }));
}

const bar = (share) => plot(26,
  svg("rect", { class: "bar-fill", width: `${Math.max(1, 100 * share)}%`, height: 10, y: 8, rx: 5 }));
