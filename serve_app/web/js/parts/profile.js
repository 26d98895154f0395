// The creator's profile: eight examples to start from, nine fields, JSON in and out.
import { h, announce } from "../dom.js";
import { upload } from "../api.js";
import { button, field, fold } from "./fields.js";

const ESSENTIAL = [
  { name: "tone", label: "How you sound", kind: "area", required: true, maxlength: 2000,
    hint: "One sentence, as you would describe yourself to an editor." },
  { name: "vocabulary", label: "Words you use", kind: "list", hint: "Enter adds a word or phrase." },
  { name: "catchphrases", label: "Catchphrases", kind: "list", hint: "A script uses two at most." },
  { name: "topics_to_avoid", label: "Topics to avoid", kind: "list", hint: "Scripts that still mention one are flagged." },
];
const MORE = [
  { name: "niche", label: "Niche", maxlength: 2000, hint: "A word or two, such as cooking." },
  { name: "audience_description", label: "Your audience", kind: "area", maxlength: 2000 },
  { name: "content_themes", label: "Themes", kind: "list", hint: "Scripts are spread over them." },
  { name: "example_hooks", label: "Hooks that worked for you", kind: "list" },
  { name: "recent_topics", label: "Recent topics", kind: "list", hint: "These are not repeated." },
];

// The form for a profile. `changed(sampleId | null)` is called after each edit.
export function profileForm(samples, changed, signal) {
  const edited = () => { mark(null); changed(null); };
  const essential = ESSENTIAL.map((spec) => field(spec, edited));
  const more = MORE.map((spec) => field(spec, edited));
  const fields = [...essential, ...more];
  const cards = samples.map((sample) => button([h("i", { "aria-hidden": "true" }, sample.label[0]), h("span", {}, h("strong", {}, sample.label), h("small", {}, sample.description))], () => {
    set(sample.profile, sample.id);
    changed(sample.id);
    announce(`${sample.label} is filled in.`);
  }, { class: "sample" }));
  const mark = (id) => samples.forEach((sample, i) => cards[i].setAttribute("aria-pressed", String(sample.id === id)));
  const get = () => Object.fromEntries(fields.map((one) => [one.name, one.get()]));
  const set = (profile, id = null) => { for (const one of fields) one.set(profile[one.name]); mark(id); };
  const said = h("p", { class: "fault", role: "alert", hidden: true });
  const say = (text) => { said.textContent = text; said.hidden = !text; };

  async function load(chosen) {
    const form = new FormData();
    form.append("file", chosen);
    try {
      const profile = await upload("/api/creator-profiles", form);
      if (signal.aborted) return;
      set(profile);
      say("");
      changed(null);
      announce(`${chosen.name} is filled in.`);
    } catch (problem) {
      say(problem.detail ?? String(problem));
    }
  }
  const file = h("input", { type: "file", accept: "application/json,.json", class: "unseen", id: "profile-file",
    onchange: () => { if (file.files[0]) load(file.files[0]); file.value = ""; } });
  const el = h("div", { class: "stack" },
    h("div", { class: "samples", role: "group", "aria-label": "Example profiles" }, ...cards),
    h("div", { class: "two" }, ...essential.map(({ el: one }) => one)),
    fold(["More about you ", h("small", {}, "audience, themes, hooks")],
      h("div", { class: "two" }, ...more.map(({ el: one }) => one))),
    h("div", { class: "row" }, file, h("label", { class: "btn", for: "profile-file" }, "Load JSON"),
      button("Save as JSON", () => download(get()), { class: "btn" }), said));
  return { el, fields, get, set, mark };
}

function download(profile) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(profile, null, 1) + "\n"], { type: "application/json" }));
  h("a", { href: url, download: "profile.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// The profile as a prompt shows it: one line per known field.
export function brief(profile) {
  const lines = [["Niche", profile.niche], ["Audience", profile.audience_description], ["Tone", profile.tone],
    ["Vocabulary", profile.vocabulary.join(", ")], ["Catchphrases", profile.catchphrases.join(" / ")],
    ["Topics to avoid", profile.topics_to_avoid.join(", ")], ["Themes", profile.content_themes.join(", ")],
    ["Hooks they have used", profile.example_hooks.join(" / ")],
    ["Recent topics, do not repeat", profile.recent_topics.join(", ")]];
  const text = lines.filter(([, value]) => value).map(([name, value]) => `${name}: ${value}`).join("\n");
  return `<creator>\n${text.replaceAll("<", "‹").replaceAll(">", "›")}\n</creator>`;
}
