// How a posted script did: a form, and what was reported of it.

import { announce, clear, h } from "../dom.js";
import { post } from "../api.js";
import { button as push, fault, field, fold, showFaults } from "./fields.js";
import { count, percent } from "./words.js";

const whole = { kind: "number", min: 0, step: 1, required: true };
const FIELDS = [
  { name: "platform", label: "Platform", kind: "select",
    options: [["tiktok", "TikTok"], ["instagram", "Instagram"], ["youtube", "YouTube"], ["other", "Other"]] },
  { name: "post_url", label: "Link to the post", kind: "url", required: true, placeholder: "https://" },
  { name: "views", label: "Views", ...whole }, { name: "likes", label: "Likes", ...whole },
  { name: "comments", label: "Comments", ...whole }, { name: "shares", label: "Shares", ...whole },
  { name: "watch_time_avg", label: "Average watch time, s", kind: "number", min: 0, step: "any" },
  { name: "completion_rate", label: "Watched to the end, %", kind: "number", min: 0, max: 100, step: "any" },
];

// `known` is what was reported of the run; it is kept up to date here.
export function postForm(runId, scriptId, known, signal) {
  const fields = FIELDS.map((spec) => field(spec));
  const said = h("div", { role: "status" });
  const rows = h("ul", { class: "posts stack" });
  const button = h("button", { type: "submit", class: "btn" }, "Save");
  const draw = () => clear(rows, known.filter((one) => one.script_id === scriptId).map((one) => h("li", { class: "row" },
    h("a", { href: one.post_url, target: "_blank", rel: "noopener noreferrer" }, one.platform),
    ` ${count(one.views, "view")}, ${count(one.likes, "like")}`,
    one.completion_rate !== null && `, ${percent(one.completion_rate)} to the end`,
    push("Correct", () => fill(one)))));
  const fill = (one) => {
    form.open = true;
    for (const { name, set } of fields) set(name === "completion_rate" && one[name] !== null ? Math.round(1000 * one[name]) / 10 : one[name]);
    fields[2].input.focus();
  };

  async function send(event) {
    event.preventDefault();
    const body = Object.fromEntries(fields.map(({ name, get }) => [name, get()]));
    if (body.completion_rate !== null) body.completion_rate /= 100;
    const sent = { run_id: runId, script_id: scriptId, ...body };
    button.disabled = true;
    try {
      await post("/api/performance", sent);
      if (signal.aborted) return;
      const same = (one) => ["script_id", "platform", "post_url"].every((name) => one[name] === sent[name]);
      known.splice(0, known.length, ...known.filter((one) => !same(one)), sent);
      showFaults(fields);
      clear(said, h("p", { class: "note ok" }, "Saved. From ten posts on, insights and your next runs learn from them."));
      draw();
    } catch (problem) {
      const { left, first } = showFaults(fields, problem);
      clear(said, left.map((text) => fault(text)));
      first?.input.focus();
      announce("It was not saved.");
    } finally {
      button.disabled = false;
    }
  }
  draw();
  const form = fold("Report a post",
    h("form", { class: "stack", novalidate: true, onsubmit: send }, h("div", { class: "two" }, fields.map(({ el }) => el)),
      h("div", { class: "row" }, button)));
  return h("section", { class: "card stack" }, h("h3", {}, "How it did"), rows, form, said);
}
