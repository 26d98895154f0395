// What the model will be told: the templates, with what the form has filled in them marked.

import { clear, h } from "../dom.js";
import { button } from "./fields.js";

const NAMES = { s1: "Analyze a video", s3: "Write a script", s4: "Vote", refine_edit: "Ask for an edit", refine_compare: "Compare with and without",
  s6: "Personalize" };

// A fold with one prompt at a time. `fill(values)` puts a form's values into their places.
export function promptPreview(templates) {
  const shown = h("pre", { class: "prompt", tabindex: "0", "aria-label": "The prompt" });
  let name = "s3", values = {};
  const draw = () => { clear(shown); shown.append(...pieces(templates[name] ?? "", values)); };
  const tabs = Object.entries(NAMES).map(([key, label]) => button(label, (event) => {
    name = key;
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab === event.currentTarget));
    draw();
  }, { "aria-pressed": String(key === name) }));
  const el = h("details", { class: "card fold" },
    h("summary", {}, "What the model will be told ", h("small", {}, "the prompts, with your words in them")),
    h("div", { class: "row tabs", role: "group", "aria-label": "Prompt" }, ...tabs), shown);
  return { el, fill: (next) => { values = next; if (el.open) draw(); else el.ontoggle = draw; } };
}

function* pieces(template, values) {
  let at = 0;
  for (const match of template.matchAll(/\{\{|\}\}|\{(\w+)\}/g)) {
    yield template.slice(at, match.index);
    at = match.index + match[0].length;
    const known = match[1] && values[match[1]] !== undefined;
    yield match[1] ? h("mark", { class: known ? "filled" : "slot" }, known ? String(values[match[1]]) : match[0]) : match[0][0];
  }
  yield template.slice(at);
}
