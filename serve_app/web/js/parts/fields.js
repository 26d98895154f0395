// Form controls: a name, a hint, a place for what is wrong. The server checks; here its words reach the right field.

import { clear, h, svg } from "../dom.js";

export const hint = (...what) => h("p", { class: "hint" }, what);
export const fault = (...what) => h("p", { class: "fault" }, what);
export const alerted = (what) => h("p", { class: "fault", role: "alert" }, what);
export const button = (label, onclick, props) => h("button", { type: "button", class: "btn btn-small", onclick, ...props }, label);
export const fold = (title, ...what) => h("details", { class: "fold" }, h("summary", {}, title), what);
export const pairs = (rows) => h("dl", { class: "pairs" }, rows.map(([name, value]) =>
  h("div", {}, h("dt", {}, name), h("dd", {}, value))));
// A drawing beside words that say the same.
export const plot = (height, ...what) => svg("svg", { "aria-hidden": "true", width: "100%", height }, what);

export const SEPARATOR = /[\n;|]/; // of several short texts in one

let made = 0;

// One control. `changed` is called after each edit; `get` and `set` speak the type of its kind: text, area, url: a text;
// number: a number or null; list: an array of texts; select: a value of `options`, [value, label] each. A `note` stands
// beside what is wrong until the control has another value.
export function field({ name, label, hint, kind = "text", options = [], ...attributes }, changed = () => {}) {
  const id = `f${++made}-${name}`;
  const edited = () => { note(); changed(); };
  const control = kind === "list" ? chips(id, label, edited) : plain(kind, id, options, attributes, edited);
  const wrong = h("p", { class: "fault", id: `${id}-fault`, hidden: true });
  const noted = h("p", { class: "hint noted", id: `${id}-note`, hidden: true });
  control.input.setAttribute("aria-describedby", `${id}-hint ${id}-note ${id}-fault`);
  const el = h("div", { class: `field field-${kind}`, "data-field": name },
    h("label", { for: id }, label), control.el, h("p", { class: "hint", id: `${id}-hint`, hidden: !hint }, hint), noted, wrong);
  const note = (text = "") => { noted.textContent = text; noted.hidden = !text; };
  const set = (value) => { note(); control.set(value); };
  const error = (text) => {
    wrong.textContent = text;
    wrong.hidden = !text;
    if (text) control.input.setAttribute("aria-invalid", "true");
    else control.input.removeAttribute("aria-invalid");
  };
  return { name, el, input: control.input, get: control.get, set, note, error };
}

function plain(kind, id, options, attributes, changed) {
  const input = kind === "area" ? h("textarea", { id, rows: 3, ...attributes })
    : kind === "select" ? h("select", { id, ...attributes }, ...options.map(([value, text]) => h("option", { value }, text)))
    : h("input", { id, type: kind === "number" ? "number" : kind, inputmode: kind === "number" ? "decimal" : null, ...attributes });
  input.addEventListener("input", changed);
  const get = () => kind === "number" ? (input.value.trim() === "" ? null : Number(input.value)) : input.value;
  return { el: input, input, get, set: (value) => { input.value = value ?? ""; } };
}

// Several short texts: Enter, a pasted line break or leaving the box adds one; Backspace in the empty box takes one.
function chips(id, label, changed) {
  let items = [];
  const input = h("input", { id, type: "text", autocomplete: "off", enterkeyhint: "done", placeholder: "Add one" });
  const list = h("ul", { class: "chips", "aria-label": label });
  const draw = () => {
    clear(list);
    items.forEach((item, at) => list.append(h("li", { class: "chip" }, h("span", {}, item),
      button("×", () => remove(at), { class: null, "aria-label": `Remove ${item}` }))));
  };
  const put = (next) => { items = next; draw(); changed(); };
  const remove = (at) => { put(items.filter((_, i) => i !== at)); input.focus(); };
  const add = (text) => {
    const more = text.split(SEPARATOR).map((part) => part.trim()).filter((part) => part && !items.includes(part));
    input.value = "";
    if (more.length) put([...items, ...more]);
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); add(input.value); }
    if (event.key === "Backspace" && !input.value && items.length) remove(items.length - 1);
  });
  input.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text");
    if (/\n/.test(text)) { event.preventDefault(); add(text); }
  });
  input.addEventListener("blur", () => add(input.value));
  return {
    el: h("div", { class: "chip-box" }, list, input), input, get: () => [...items],
    set: (value) => { items = [...(value ?? [])]; draw(); },
  };
}

// Puts a refusal's faults at their fields, clears the others; gives back what belongs to no field.
export function showFaults(fields, problem) {
  const left = [];
  const found = new Map();
  for (const { field: path, type, message } of problem?.errors ?? []) {
    const names = path.split(".");
    const at = fields.find(({ name }) => names.includes(name));
    if (at) found.set(at, found.get(at) ?? plainly(type, message));
    else left.push(`${path}: ${message}`);
  }
  for (const one of fields) one.error(found.get(one) ?? "");
  if (problem && !problem.errors?.length) left.push(problem.detail);
  return { left, first: fields.find((one) => found.has(one)) };
}

const EMPTY = ["missing", "string_too_short", "int_type", "float_type", "string_pattern_mismatch"];

const plainly = (type, message) => EMPTY.includes(type) ? "This is needed." : message.replace(/^Value error, /, "");
