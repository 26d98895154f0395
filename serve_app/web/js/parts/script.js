// A script as it is spoken, beside how it was first written, with what differs marked.

import { h } from "../dom.js";
import { button, hint } from "./fields.js";
import { copy, difference } from "./words.js";

const whole = ({ hook, body, payoff }) => [hook, body, payoff].join("\n\n");

export function copyButton(text) {
  const done = h("span", { class: "hint", role: "status" });
  return h("span", { class: "row" }, done, button("Copy", async () => {
    done.textContent = await copy(text) ? "Copied." : "This browser does not allow it: select the text.";
  }));
}

export function scriptText(script, final) {
  const mine = final ? whole(final) : whole(script), first = whole(script);
  const runs = final?.personalized ? difference(first, mine) : [["=", mine]];
  const version = (title, drop, tag) => h("div", { class: `version ${tag === "ins" ? "mine" : ""}` }, title && h("h4", {}, title),
    h("p", { class: "spoken" }, runs.map(([kind, text]) => kind !== drop && (kind === "=" ? text : h(tag, {}, text)))));
  const both = final?.personalized
    ? h("div", { class: "versions stack" }, version("In your voice", "-", "ins"), version("As first written", "+", "del"))
    : version(null, "-", "ins");
  const notes = final?.notes ?? [];
  const changes = h("input", { type: "checkbox", id: "changes", onchange: () => both.classList.toggle("unmarked", !changes.checked) });
  changes.checked = true;
  return h("section", { class: "card stack" }, h("header", {}, h("h3", {}, "Script"), h("div", { class: "row" },
    final?.personalized && h("label", { class: "check", for: "changes" }, changes, "Mark what changed"), copyButton(mine))),
  final && !final.personalized && h("p", { class: "note warn" }, "The original text stands in: it could not be personalised."),
  both, notes.map((text) => h("p", { class: "note warn" }, text)),
  script.structural_notes && hint(`Why it should hold: ${script.structural_notes}`));
}
