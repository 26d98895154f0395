// The creator's profile: eight examples to start from, nine fields, JSON in and out.
import { announce, clear, h } from "../dom.js";
import { SEPARATOR, alerted, button, field, fold, hint } from "./fields.js";

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

const MOST_BYTES = 1 << 20; // of a file
const MOST_CHARS = 2000, MOST_ITEMS = 50; // of a field, as the API takes them
const DEPTH = 3; // of what a profile may lie within: an order, a run, a list of examples

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
  let own = []; // what a file has beside the fields: too long to be edited here
  const get = () => ({ ...Object.fromEntries(fields.map((one) => [one.name, one.get()])), ...(own.length && { own_transcripts: own }) });
  const set = (profile, id = null) => {
    for (const one of fields) one.set(profile[one.name]);
    own = profile.own_transcripts ?? [];
    mark(id);
  };
  const said = h("div", {});

  async function load(chosen) {
    try {
      const found = await read(chosen);
      if (signal.aborted) return;
      set(found.profile);
      fields.forEach((one) => one.note(found.notes[one.name]));
      const voices = own.length ? `, with what was said in ${own.length} ${own.length === 1 ? "video" : "videos"}` : "";
      const told = `${chosen.name} is filled in${voices}${found.lacks.length ? `. It lacks: ${found.lacks.join(", ")}` : ""}.`;
      clear(said, hint(told));
      changed(null);
      announce(told);
    } catch (error) {
      clear(said, alerted(`${chosen.name}: ${error.message}`));
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

// What a file says of each field, in that field's kind, whatever the profile lies within; which required ones it
// lacks; and what there is to say of a field. Throws an Error that says why there is nothing.
async function read(file) {
  if (file.size > MOST_BYTES) throw Error(`${(file.size / 1e6).toFixed(1)} MB; a profile has 1 MB at most.`);
  const bytes = await file.arrayBuffer();
  const mark = new Uint8Array(bytes.slice(0, 2)).join();
  const coding = { "255,254": "utf-16le", "254,255": "utf-16be" }[mark] ?? "utf-8"; // spreadsheets and editors write these
  let whole;
  try {
    whole = JSON.parse(new TextDecoder(coding, { fatal: true }).decode(bytes));
  } catch (error) {
    throw Error(`this is not JSON. ${error.message}`);
  }
  const specs = [...ESSENTIAL, ...MORE], profile = {}, notes = {}, lacks = [];
  let source = {}, most = 0;
  for (const one of objects(whole)) {
    const n = specs.filter(({ name }) => Object.hasOwn(one, name)).length;
    if (n > most) [source, most] = [one, n];
  }
  for (const spec of specs) {
    const { name, label, kind } = spec, given = Object.hasOwn(source, name) ? source[name] : null;
    const all = texts(kind === "list" && typeof given === "string" ? given.split(SEPARATOR) : given);
    const [value, fits, what] = kind === "list" ? [all, MOST_ITEMS, ""] : [all.join(", "), MOST_CHARS, " characters"];
    profile[name] = value.slice(0, fits);
    const needed = ESSENTIAL.includes(spec);
    if (value.length > fits) notes[name] = `Only the first ${fits.toLocaleString("en")}${what} of ${value.length.toLocaleString("en")} are taken.`;
    else if (!value.length && given?.length !== 0 && (needed || given !== null)) {
      notes[name] = `${file.name} has nothing for this.`;
      if (needed) lacks.push(label);
    }
  }
  if (!specs.some(({ name }) => profile[name].length)) throw Error("there is no profile in it: no tone, vocabulary, catchphrases or topics to avoid.");
  profile.own_transcripts = texts(source.own_transcripts).slice(0, MOST_ITEMS).map((text) => text.slice(0, MOST_CHARS));
  return { profile, notes, lacks };
}

function* objects(value, levels = DEPTH) {
  if (value === null || typeof value !== "object") return;
  yield value;
  if (levels) for (const one of Object.values(value)) yield* objects(one, levels - 1);
}

const texts = (value) => [value].flat().filter((one) => ["string", "number"].includes(typeof one))
  .map((one) => String(one).trim()).filter(Boolean);

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
