// The parts of a live run. Each panel is made once and has `render(state, before, now)`, which touches only what has
// changed: items are compared by identity, because a state that has changed has new ones. It answers false where it
// wants to be asked again for the rest.

import { h, roving, set, text } from "../dom.js";
import { duration } from "../format.js";
import { STAGES, done, leaderboard, spaced, stageMs, viewers } from "../state.js";
import { cards } from "./card.js";

export const STAGE_NAMES = {
  S1_MAP: "Watch", S2_REDUCE: "Patterns", S3_SEQUENTIAL: "Write", S4_MAP: "Vote", S5_REDUCE: "Count", S6_PERSONALIZE: "Voice",
};
const HOOKS = ["question", "shock", "story", "direct_address"];
const clock = new Intl.DateTimeFormat([], { timeStyle: "medium", hour12: false }); // to make one takes longer than to use it
const DENSE = 150; // more tiles than these have no words
const NARROW = 40; // more columns than these have no numbers

// A page that comes late gets a thousand items at once, and what is made in a frame is styled, laid out and painted in
// the same task: so all lists together make so many elements a frame, about, and leave the rest to the next.
const AT_ONCE = 80;
let left = 0;
export const beginFrame = () => { left = AT_ONCE; };

// Nodes for items in order, of so many elements each: made at first sight, updated when the item is another object.
// `show` says whether all are shown.
function keyed(list, cost, make, update) {
  const seen = [];
  const nodes = [];
  const show = (items) => {
    for (let i = 0; i < items.length; i++) {
      if (seen[i] === items[i]) continue;
      if (left <= 0) return false;
      left -= cost;
      if (!nodes[i]) list.append((nodes[i] = make(items[i], i)));
      update(nodes[i], items[i]);
      seen[i] = items[i];
    }
    return true;
  };
  show.again = () => { seen.length = 0; };
  return show;
}

const panel = (id, title, hint, ...rest) => {
  const count = h("span", { class: "soft num" });
  const el = h("section", { class: `card panel ${id}`, id, hidden: true, "aria-labelledby": `${id}-title` },
    h("header", {}, h("h2", { id: `${id}-title` }, title), count), hint && h("p", { class: "hint" }, hint), rest);
  return { el, count };
};

export function rail() {
  const steps = STAGES.map((name, i) => {
    const parts = {
      mark: h("span", { class: "mark", "aria-hidden": "true" }, i + 1),
      count: h("span", { class: "num" }), time: h("time", {}),
      bar: h("progress", { max: 1, value: 0, "aria-label": STAGE_NAMES[name] }),
    };
    const el = h("li", { class: "step" }, parts.mark, h("span", { class: "name" }, STAGE_NAMES[name]), parts.count, parts.bar, parts.time);
    return { name, el, ...parts };
  });
  const el = h("ol", { class: "rail", "aria-label": "Stages" }, steps.map((step) => step.el));
  function render(state, before, now) {
    for (const step of steps) {
      const stage = state.stages[step.name];
      if (stage.status !== "pending") text(step.time, duration(stageMs(state, step.name, now)));
      if (stage === before?.stages[step.name] && state.status === before?.status && state.refine === before?.refine) continue;
      const stuck = stage.status === "running" && ["failed", "cancelled"].includes(state.status);
      step.el.dataset.status = stuck ? state.status : stage.status;
      set(step.el, "aria-current", stage.status === "running" && "step");
      text(step.mark, stage.status === "completed" ? "✓" : stuck ? "!" : STAGES.indexOf(step.name) + 1);
      const edits = step.name === "S5_REDUCE" && state.refine;
      text(step.count, edits ? `edits: ${edits.completed} / ${edits.total}` : stage.total > 1 ? `${stage.completed.toLocaleString("en")} / ${stage.total.toLocaleString("en")}` : stage.status === "completed" ? "done" : "");
      step.bar.value = stage.status === "completed" ? 1 : stage.completed / Math.max(1, stage.total);
    }
  }
  return { el, render };
}

export function videos(signal) {
  const grid = h("ul", { class: "tiles", id: "tiles" });
  const legend = h("ul", { class: "legend" });
  const { el, count } = panel("videos", "What your videos open with", null, grid, legend);
  let shown = [];
  let whole = true;
  const rest = roving(grid);
  const show = keyed(grid, 2,
    (video, i) => h("li", {}, h("button", { type: "button", tabindex: -1, dataset: { i } })),
    (li, video) => {
      const tile = li.firstChild;
      tile.dataset.state = video.state;
      if (video.hook) tile.dataset.hook = HOOKS.includes(video.hook) ? video.hook : "other";
      if (grid.dataset.dense === "false") text(tile, video.state === "skipped" ? "×" : spaced(video.hook));
      set(tile, "aria-label", `${video.id}: ${video.state === "done" ? `${spaced(video.hook)} hook` : video.state === "skipped" ? "left out" : "being analysed"}`);
    });
  const refresh = cards(grid, (i) => aboutVideo(shown[i]), { signal });
  const bars = new Map();
  function render(state, before) {
    el.hidden = state.videos.length === 0 && state.stages.S1_MAP.status === "pending";
    if (state.videos === before?.videos && whole) return whole;
    shown = state.videos;
    grid.dataset.dense = Math.max(shown.length, state.stages.S1_MAP.total) > DENSE;
    whole = show(shown);
    rest();
    refresh();
    const of = (key) => shown.filter((video) => (key === "skipped" ? video.state === key : video.state === "done" && (HOOKS.includes(video.hook) ? video.hook : "other") === key)).length;
    const analysed = done(shown).length;
    for (const key of [...HOOKS, "other", "skipped"]) {
      const n = of(key);
      if (!bars.has(key)) {
        const parts = { n: h("b", { class: "num" }), bar: h("i") };
        parts.el = h("li", { dataset: { hook: key } }, h("span", {}, key === "skipped" ? "left out" : spaced(key)), h("span", { class: "track" }, parts.bar), parts.n);
        bars.set(key, parts);
        legend.append(parts.el);
      }
      const row = bars.get(key);
      row.el.hidden = n === 0;
      text(row.n, n);
      row.bar.style.setProperty("scale", `${n / Math.max(1, analysed)} 1`);
    }
    text(count, `${analysed.toLocaleString("en")} of ${Math.max(shown.length, state.stages.S1_MAP.total).toLocaleString("en")}`);
    return whole;
  }
  return { el, render };
}

const aboutVideo = (video) => video && [
  h("p", { class: "small soft" }, video.id),
  video.text && h("p", {}, video.text),
  video.state === "done" && h("p", { class: "small" }, `${spaced(video.hook)} hook, ${spaced(video.pacing)} pacing, ${video.triggers} ${video.triggers === 1 ? "trigger" : "triggers"}`),
  video.state === "open" && h("p", { class: "small soft" }, "Being analysed …"),
  video.state === "skipped" && h("p", { class: "small fault" }, `Left out: ${video.reason}`),
];

export function patterns() {
  const list = h("ol", { class: "bars", tabindex: 0, "aria-label": "Patterns" });
  let most = 1;
  let whole = true;
  const show = keyed(list, 6,
    () => h("li", {}, h("span", {}), h("span", { class: "track" }, h("i", {})), h("b", { class: "num" }), h("span", { class: "num small soft" })),
    (li, { label, support, lift }) => {
      const [name, track, count, gain] = li.children;
      text(name, spaced(label));
      track.firstChild.style.setProperty("scale", `${support / most} 1`);
      text(count, support);
      text(gain, lift === null ? "no numbers" : `${lift.toFixed(2)} ×`);
    });
  const { el, count } = panel("patterns", "What recurs",
    "How many videos share a pattern, and their engagement against the collection’s median, drawn toward 1 where videos are few.", list);
  function render(state, before) {
    el.hidden = state.patterns.length === 0;
    if (state.patterns === before?.patterns && whole) return whole;
    most = Math.max(...state.patterns.map((pattern) => pattern.support), 1);
    whole = show(state.patterns);
    text(count, `${state.patterns.length} patterns`);
    return whole;
  }
  return { el, render };
}

export function scripts() {
  const list = h("ol", { class: "scripts" });
  const { el, count } = panel("drafts", "Scripts", null, list);
  let whole = true;
  const show = keyed(list, 5,
    (script) => h("li", {}, h("p", { class: "small soft" }, `${script.id} `, h("span", {})), h("p", { class: "spoken" })),
    (li, script) => {
      li.dataset.state = script.state;
      text(li.firstChild.lastChild, spaced(script.pattern ?? ""));
      text(li.lastChild, script.state === "done" ? script.hook || script.theme || "" : script.state === "skipped" ? `Left out: ${script.reason}` : script.theme || "…");
    });
  function render(state, before) {
    el.hidden = state.scripts.length === 0;
    if (state.scripts === before?.scripts && whole) return whole;
    whole = show(state.scripts);
    text(count, `${done(state.scripts).length} of ${Math.max(state.scripts.length, state.stages.S3_SEQUENTIAL.total)}`);
    return whole;
  }
  return { el, render };
}

// Who votes for what: a row per viewer, a column per script, a mark per place.
export function votes(signal) {
  const head = h("div", { class: "columns", "aria-hidden": "true" });
  const rows = h("ul", { class: "voters", id: "voters" });
  const matrix = h("div", { class: "matrix" }, head, rows);
  const key = h("p", { class: "key small soft" }, "First to fifth place ", [0, 1, 2, 3, 4].map((i) => h("i", { class: `place p${i}` }, i + 1)));
  const { el, count } = panel("votes", "Who votes for what", null, key, matrix);
  let shown = [];
  let columns = new Map();
  let hooks = new Map();
  let whole = true;
  const rest = roving(rows);
  const show = keyed(rows, 10,
    (persona, i) => h("li", {}, h("button", { type: "button", tabindex: -1, dataset: { i } }, h("span", { class: "who" }), h("span", { class: "cells" }))),
    (li, persona) => {
      const row = li.firstChild;
      const [who, cells] = row.children;
      row.dataset.state = persona.late ? "late" : persona.state;
      text(who, persona.name || persona.id);
      set(row, "aria-label", `${persona.name || persona.id}: ${persona.state === "done" ? `votes ${persona.top.join(", ")}` : persona.state === "skipped" ? "no valid vote" : "is reading"}`);
      cells.replaceChildren(...(persona.top ?? []).map((id, place) => columns.has(id) &&
        h("i", { class: `place p${place}`, style: { "grid-column": columns.get(id) + 1 } }, place + 1)).filter(Boolean));
    });
  const refresh = cards(rows, (i) => aboutPersona(shown[i], hooks), { signal });
  function setColumns(state) {
    const ids = done(state.scripts).map((script) => script.id).sort();
    hooks = new Map(state.scripts.map((script) => [script.id, script.hook]));
    if (ids.length === columns.size && ids.every((id) => columns.has(id))) return false;
    columns = new Map(ids.map((id, i) => [id, i]));
    matrix.style.setProperty("--columns", Math.max(1, ids.length));
    matrix.dataset.narrow = ids.length > NARROW;
    head.replaceChildren(h("span", { class: "who" }), h("span", { class: "cells" }, ids.map((id) => h("span", {}, id.replace(/^\D+0*/, "") || id))));
    show.again();
    return true;
  }
  function render(state, before) {
    el.hidden = state.personas.length === 0;
    const other = state.scripts !== before?.scripts && setColumns(state);
    if (state.personas === before?.personas && !other && whole) return whole;
    shown = viewers(state);
    whole = show(shown);
    rest();
    refresh();
    text(count, `${done(shown).length} of ${Math.max(shown.length, state.viewers)}`);
    return whole;
  }
  return { el, render };
}

const aboutPersona = (persona, hooks) => persona && [
  h("p", {}, h("b", {}, persona.name || persona.id)),
  h("p", { class: "small soft" }, [persona.age, persona.occupation, persona.location].filter(Boolean).join(", ")),
  persona.about && h("p", { class: "small" }, persona.about),
  persona.state === "open" && h("p", { class: "small soft" }, "Is reading the scripts …"),
  persona.state === "skipped" && h("p", { class: "small fault" }, `No vote: ${persona.reason}`),
  persona.reaction && h("blockquote", { class: "spoken" }, persona.reaction),
  persona.late && h("p", { class: "small soft" }, "This vote came too late to be counted."),
  persona.top && h("ol", { class: "ballot small" }, persona.top.map((id, place) =>
    h("li", {}, h("i", { class: `place p${place}` }, place + 1), h("span", {}, h("b", {}, id), " ", hooks.get(id) ?? "")))),
];

export function board() {
  const list = h("ol", { class: "board", tabindex: 0, "aria-label": "Scripts by points" });
  const { el, count } = panel("leaders", "Running order", null, list);
  const rows = new Map();
  let whole = true;
  function row(id) {
    left -= 10;
    const parts = { place: h("b", { class: "num" }), hook: h("span", { class: "spoken" }), bar: h("i"), points: h("span", { class: "num" }), mark: h("span", { class: "chip" }) };
    parts.el = h("li", {}, parts.place, h("div", {}, parts.hook, h("span", { class: "track" }, parts.bar), h("span", { class: "small soft" }, id, " ", parts.mark)), parts.points);
    rows.set(id, parts);
    return parts;
  }
  function render(state, before) {
    el.hidden = state.personas.length === 0;
    const same = ["points", "topIds", "finals", "scripts"].every((name) => state[name] === before?.[name]);
    if (el.hidden || (same && whole)) return true;
    const leaders = leaderboard(state);
    const most = Math.max(...leaders.map((script) => script.points), 1);
    const finals = new Map(state.finals.map((final) => [final.id, final.state]));
    whole = leaders.every((script, i) => {
      if (left <= 0 && !rows.has(script.id)) return false;
      const parts = rows.get(script.id) ?? row(script.id);
      text(parts.place, i + 1);
      text(parts.hook, script.hook || script.id);
      text(parts.points, script.points);
      parts.bar.style.setProperty("scale", `${script.points / most} 1`);
      parts.el.dataset.chosen = script.chosen;
      const final = finals.get(script.id);
      parts.mark.hidden = !final;
      parts.mark.className = `chip ${final === "done" ? "ok" : final === "skipped" ? "warn" : "on"}`;
      text(parts.mark, { done: "in your voice", skipped: "as written", open: "being rewritten" }[final] ?? "");
      if (list.children[i] !== parts.el) list.insertBefore(parts.el, list.children[i] ?? null);
      return true;
    });
    text(el.querySelector("h2"), state.topIds.length ? "The order" : "Running order");
    text(count, state.topIds.length ? `best ${state.topIds.length} chosen` : "5 points for a first place, 1 for a fifth");
    return whole;
  }
  return { el, render };
}

export function log() {
  const list = h("ol", {});
  const { el } = panel("activity", "Activity", null,
    h("div", { class: "log", tabindex: 0, role: "log", "aria-live": "off", "aria-label": "Activity" }, list));
  let last = null;
  function render(state) {
    el.hidden = state.log.length === 0;
    const from = last ? state.log.lastIndexOf(last) + 1 : 0;
    for (const line of state.log.slice(from)) {
      if (left <= 0) return false;
      left -= 3;
      last = line;
      const at = new Date(line.at);
      list.prepend(h("li", { dataset: { kind: line.kind } }, h("time", { datetime: at.toISOString() }, clock.format(at)), h("span", {}, line.text)));
    }
    while (list.children.length > state.log.length) list.lastChild.remove();
    return true;
  }
  return { el, render };
}
