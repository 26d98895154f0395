// A script as it is spoken, beside how it was first written, with what differs marked.

import { announce, h } from "../dom.js";
import { copy, difference } from "./words.js";

const whole = ({ hook, body, payoff }) => [hook, body, payoff].join("\n\n");

export function scriptText(script, final) {
  const mine = final ? whole(final) : whole(script), first = whole(script);
  const runs = final?.personalized ? difference(first, mine) : [["=", mine]];
  const marked = (drop, tag) => runs.filter(([kind]) => kind !== drop).map(([kind, text]) => kind === "=" ? text : h(tag, {}, text));
  const done = h("span", { class: "hint", role: "status" });
  const button = h("button", { type: "button", class: "btn btn-small", onclick: async () => {
    done.textContent = await copy(mine) ? "Copied." : "This browser does not allow it: select the text.";
  } }, "Copy");
  const notes = [...(final?.notes ?? []), final && !final.personalized && "The original text stands in: it could not be personalised."].filter(Boolean);
  const both = h("div", { class: final?.personalized ? "versions" : "" },
    h("div", { class: "version mine" }, final?.personalized && h("h4", {}, "In your voice"), h("p", { class: "spoken" }, marked("-", "ins"))),
    final?.personalized && h("div", { class: "version" }, h("h4", {}, "As first written"), h("p", { class: "spoken" }, marked("+", "del"))));
  const changes = h("input", { type: "checkbox", id: "changes", onchange: () => {
    both.classList.toggle("plain", !changes.checked);
    announce(changes.checked ? "Changes are marked." : "Changes are not marked.");
  } });
  changes.checked = true;
  return h("section", { class: "card" }, h("header", {}, h("h3", {}, "Script"), h("div", { class: "row" }, done,
    final?.personalized && h("label", { class: "check", for: "changes" }, changes, "Mark what changed"), button)),
  both, notes.map((text) => h("p", { class: "note warn" }, text)),
  script.structural_notes && h("p", { class: "hint" }, `Why it should hold: ${script.structural_notes}`));
}
