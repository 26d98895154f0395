// Create: whose voice, which videos, how many; what it would take, and one button that starts it.

import { announce, clear, h } from "../dom.js";
import { get, newId, post, remembered } from "../api.js";
import { button, fault, field, fold, hint, pairs, showFaults } from "../parts/fields.js";
import { brief, profileForm } from "../parts/profile.js";
import { promptPreview } from "../parts/prompts.js";
import { videoChooser } from "../parts/videos.js";
import { about, usd as dollars } from "../format.js";

const PAUSE_MS = 350; // between the last key and the next estimate
const COUNTS = [
  { name: "num_videos", label: "Videos to learn from" },
  { name: "num_scripts", label: "Scripts to write" },
  { name: "num_personas", label: "Viewers who vote" },
  { name: "top_n", label: "Scripts to keep" },
];
const SIZES = { Quick: [20, 6, 12, 3], Standard: [100, 20, 42, 10], Thorough: [100, 40, 84, 10] };
const NAMES = {
  offline: "Offline demo (free, no language model)", local: "Local model", kimi: "Kimi", gemini: "Gemini", openai: "OpenAI",
};

export async function mount(root, { signal, go }) {
  const [samples, providers, prompts] = await Promise.all(
    ["/api/creator-profiles/samples", "/api/providers", "/api/prompts/preview"].map((path) => get(path, { signal })));
  const draft = { ...fresh(samples, providers), ...kept() };
  if (!providers.reasoning.includes(draft.reasoning_model)) {
    Object.assign(draft, { reasoning_model: providers.reasoning[0], model: null });
  }
  let waiting, asked = new AbortController(), startKey = null;

  const profile = profileForm(samples, (sample) => { draft.sample = sample; changed(); }, signal);
  const videos = videoChooser((set) => { draft.video_set = set; changed(); }, signal);
  const preview = promptPreview(prompts);
  const add = (spec) => field(spec, () => changed());
  const named = providers.reasoning.map((name) => [name, NAMES[name] ?? name]);
  const counts = COUNTS.map((spec) => add({ kind: "number", min: 1, step: 1, required: true, ...spec }));
  const provider = field({ name: "reasoning_model", label: "Provider", kind: "select", options: named,
    hint: named.length > 1 ? "" : "A key in the server's environment adds Kimi, Gemini or OpenAI." },
    () => { model.set(""); changed(); }); // another provider has no model of that name
  const model = add({ name: "model", label: "Model name", placeholder: "the provider's default", autocomplete: "off",
    spellcheck: "false", hint: "One of the provider's models, as it spells it." });
  const budget = add({ name: "max_usd", label: "Budget, $", kind: "number", min: 0, step: "any", placeholder: "no limit",
    hint: "The run stops cleanly before it costs more." });
  const seed = add({ name: "seed", label: "Seed", kind: "number", min: 0, step: 1,
    hint: "Equal seeds draw the same videos, viewers and orders." });
  const rigor = add({ name: "rigor", label: "Panel", kind: "select", options: [["", "Standard"], ["careful", "Careful"]],
    hint: "Careful asks a third of the viewers twice and hides two scripts that test them." });
  const voters = add({ name: "voter_model", label: "Voting model", kind: "select",
    options: [["", "The one that writes"], ...named],
    hint: "A model likes what it wrote itself: let another one judge." });
  const refine = add({ name: "refine", label: "What would change your mind?", kind: "select",
    options: [["", "Do not ask"], ["true", "Ask, and judge the edits"]],
    hint: "Viewers who ranked your best scripts lowest propose an edit each; the panel compares with and without." });
  const extras = [model, budget, seed, rigor, voters, refine];
  const fields = [...profile.fields, ...counts, provider, ...extras];
  const sizes = Object.entries(SIZES).map(([name, size]) => button(name, () => {
    counts.forEach((one, i) => one.set(size[i]));
    changed();
  }));

  const learned = h("span", {}); // from what: said also while the rest is stale
  const cost = h("div", { class: "cost" });
  const faults = h("div", { class: "faults", role: "alert" });
  const price = h("small", {});
  const press = h("button", { type: "submit", class: "btn btn-primary btn-start" }, "Write my scripts", price);
  const form = h("form", { class: "create", novalidate: true, onsubmit: (event) => { event.preventDefault(); start(); } },
    h("div", { class: "stack" },
      part(1, "Whose voice?", "Start from an example, then make it yours.", profile.el),
      part(2, "What to learn from", "Structure is learned from these, never words.", videos.el),
      part(3, "How much", "More scripts and viewers take longer and rank more surely.",
        h("div", { class: "row", role: "group", "aria-label": "Size" }, ...sizes),
        h("div", { class: "four" }, ...counts.map(({ el }) => el)),
        h("div", { class: "two" }, provider.el, budget.el),
        fold("Advanced", h("div", { class: "two" }, model.el, voters.el, rigor.el, refine.el, seed.el))),
      preview.el),
    h("aside", { class: "card summary stack", "aria-label": "Your run" },
      h("h2", {}, "Your run"), cost, faults, press,
      hint("Simulated viewers rank the scripts: a pre-screen, never predicted views."),
      button("Start over", reset, { class: "btn btn-quiet" })));

  function order() {
    const body = { creator_profile: profile.get() };
    for (const one of [...counts, provider, ...extras]) body[one.name] = one.get();
    for (const { name } of extras) if (!`${body[name] ?? ""}`.trim()) delete body[name]; // as without a form
    if (body.refine) body.refine = true;
    if (draft.video_set) body.video_set_id = draft.video_set.video_set_id;
    return body;
  }

  function changed() {
    startKey = null;
    Object.assign(draft, Object.fromEntries(extras.map(({ name }) => [name, null])), order());
    remembered("draft", JSON.stringify(draft));
    preview.fill({ creator: brief(draft.creator_profile), videos: draft.num_videos, count: draft.num_scripts, length: 5 });
    for (const [i, size] of Object.values(SIZES).entries()) {
      sizes[i].setAttribute("aria-pressed", String(counts.every((one, at) => one.get() === size[at])));
    }
    clear(learned, videos.named());
    cost.classList.add("stale");
    clearTimeout(waiting);
    waiting = setTimeout(estimate, PAUSE_MS);
  }

  async function estimate() {
    asked.abort();
    asked = new AbortController();
    const mine = asked.signal;
    try {
      const found = await post("/api/estimate", order(), { signal: mine });
      if (signal.aborted) return;
      refuse();
      clear(cost, estimated(found, learned));
      clear(price, found.usd.expected !== null && dollars(found.usd.expected));
      cost.classList.remove("stale");
    } catch (problem) {
      if (!mine.aborted && !signal.aborted) refuse(problem);
    }
  }

  // Says what is wrong, each fault at its field.
  function refuse(problem) {
    const { left, first } = showFaults(fields, problem);
    clear(faults, left.map((text) => fault(text)), first && fault("This needs another look: ",
      button(first.el.firstChild.textContent, () => show(first))));
    return first;
  }

  async function start() {
    if (!videos.ready()) return;
    clearTimeout(waiting);
    asked.abort();
    press.disabled = true;
    announce("Starting.");
    startKey ??= newId(); // the same until something is changed: pressed twice, it is one run
    try {
      const { run_id } = await post("/api/pipeline/start", order(), { headers: { "Idempotency-Key": startKey } });
      if (!signal.aborted) go(`#/runs/${run_id}`);
    } catch (problem) {
      if (signal.aborted) return;
      press.disabled = false;
      const first = refuse(problem);
      if (first) show(first);
    }
  }

  function reset() {
    Object.assign(draft, fresh(samples, providers));
    put();
    announce("Everything is as at first.");
    scrollTo(0, 0);
  }

  function put() {
    profile.set(draft.creator_profile, draft.sample);
    for (const one of [...counts, provider, ...extras]) one.set(draft[one.name]);
    videos.set(draft.video_set);
    changed();
  }

  signal.addEventListener("abort", () => { clearTimeout(waiting); asked.abort(); });
  root.append(h("header", { class: "page-head" }, h("div", {}, h("h1", {}, "Scripts in your voice"),
    h("p", {}, "From what already works in your corner of the feed, ranked by simulated viewers before you film."))), form);
  put();
}

function part(number, title, lead, ...content) {
  return h("section", { class: "card part stack", "aria-labelledby": `part-${number}` },
    h("h2", { id: `part-${number}` }, h("span", { class: "step", "aria-hidden": "true" }, number), title),
    hint(lead), ...content);
}

// Opens what it is folded into, and goes there.
function show({ el, input }) {
  for (let fold = el.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  input.focus();
}

function fresh(samples, providers) {
  const sizes = Object.fromEntries(COUNTS.map(({ name }, i) => [name, SIZES.Standard[i]]));
  return { ...sizes, sample: samples[0].id, creator_profile: samples[0].profile, reasoning_model: providers.reasoning[0],
    model: null, max_usd: null, seed: null, rigor: null, voter_model: null, refine: null, video_set: null };
}

function kept() {
  try {
    return JSON.parse(remembered("draft")) ?? {};
  } catch {
    return {};
  }
}

function estimated({ usd, calls, duration_s, warnings, model, refine }, learned) {
  const rows = [["Model", model], ["Videos", learned], ["Calls", calls.toLocaleString("en")],
    [refine.included ? "Of these, edits" : "Edits would add", `${refine.calls.toLocaleString("en")} · ${dollars(refine.usd.expected)}`],
    ["Takes about", duration_s < 1 ? "a moment" : about(1000 * duration_s)]];
  const range = usd.low !== usd.high && ` ${dollars(usd.low)} to ${dollars(usd.high)}`;
  return [h("p", { class: "price" }, dollars(usd.expected), h("small", {}, range)),
  pairs(rows),
  warnings.map((text) => h("p", { class: "note" }, text))];
}
