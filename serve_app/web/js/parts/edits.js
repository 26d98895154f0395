// What would change your mind? The edit that was tried on a script, and what the panel made of it.

import { h, svg } from "../dom.js";
import { fold, hint, plot } from "./fields.js";

const NAMES = { gain: "Clearly better", loss: "Clearly worse", no_clear_gain: "No clear gain" };

// Nothing for a script that nobody was asked about.
export function edits(refinement, scriptId) {
  const trial = refinement?.trials.find((one) => one.script_id === scriptId);
  const title = h("h3", {}, "What would change your mind?");
  if (!trial) {
    return refinement?.untried.includes(scriptId)
      && h("section", { class: "card stack" }, title, hint("Nobody proposed an edit that could be tried."));
  }
  const { edit, others, share, verdict } = trial;
  return h("section", { class: "card stack edits" },
    h("header", {}, title, h("span", { class: `chip ${verdict === "gain" ? "ok" : ""}` }, NAMES[verdict])),
    said(edit), change(edit), share !== null && range(trial), h("p", {}, trial.summary),
    others.length > 0 && fold("What else was proposed", others.map((other) => h("div", { class: "stack" }, said(other), change(other)))),
    hint(refinement.method));
}

const said = ({ persona_name: name, reason }) => h("p", {}, h("b", {}, name), `, one of those who ranked it lowest: “${reason}”`);
const change = ({ passage, instead }) => h("p", { class: "spoken" }, h("del", {}, passage), " ", h("ins", {}, instead));

// The share that prefers it edited, with its interval; the dashed line is a half.
function range({ share, low, high }) {
  const x = (part) => `${100 * part}%`;
  return plot(26,
    svg("line", { class: "coin", x1: x(0.5), x2: x(0.5), y1: 0, y2: 26 }),
    svg("line", { class: "range", x1: x(low), x2: x(high), y1: 13, y2: 13 }),
    svg("circle", { class: "dot", cx: x(share), cy: 13, r: 5 }));
}
