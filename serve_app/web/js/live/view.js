// A run as it goes: `render(state, now)` shows a state, and answers false where it has not shown all of it yet. What it
// shows comes from states alone.

import { announce, clear, h, set, text } from "../dom.js";
import { about, duration, usd } from "../format.js";
import { current, elapsedMs, etaMs, isOver } from "../state.js";
import { STAGE_NAMES, beginFrame, board, log, patterns, rail, scripts, videos, votes } from "./panels.js";

const DOING = {
  S1_MAP: "Watching your videos", S2_REDUCE: "Looking for what recurs", S3_SEQUENTIAL: "Writing scripts",
  S4_MAP: "Viewers are voting", S5_REDUCE: "Counting the votes", S6_PERSONALIZE: "Putting the winners into your voice",
};
const LINKS = { live: ["Live", "ok"], lost: ["Reconnecting …", "warn"], gone: ["Not here any more", "bad"] };

export function title(state) {
  if (state.recovering) return "About to go on";
  if (state.status === "completed") return state.results === 1 ? "Your script is ready" : "Your scripts are ready";
  if (state.status === "failed") return "This run has failed";
  if (state.status === "cancelled") return "This run was stopped";
  return DOING[current(state)] ?? "Waiting to begin";
}

// Actions: `stop()`, `resume()`; `id` is the run's.
export function createView(root, { id, signal, stop, resume }) {
  const fact = (name) => {
    const value = h("dd", { class: "num" }, "–");
    return { value, el: h("div", {}, h("dt", {}, name), value) };
  };
  const facts = { elapsed: fact("Elapsed"), eta: fact("Time left"), spend: fact("Spent"), calls: fact("Calls") };
  const head = h("h1", {});
  const sub = h("p", { class: "lede" });
  const link = h("span", { class: "chip", role: "status" });
  const buttons = {
    stop: h("button", { class: "btn", type: "button", onclick: stop }, "Stop"),
    resume: h("button", { class: "btn btn-primary", type: "button", onclick: resume }, "Resume"),
    results: h("a", { class: "btn btn-primary", href: `#/runs/${id}/results` }, "See the results"),
    report: h("a", { class: "btn", href: `/api/runs/${id}/files/report.html`, target: "_blank", rel: "noopener" }, "What there is so far"),
  };
  const notes = h("div", { class: "notes" });
  const panels = { rail: rail(), voting: votes(signal), board: board(), scripts: scripts(), patterns: patterns(), videos: videos(signal), log: log() };
  root.append(
    h("header", { class: "hero" },
      h("div", { class: "hero-head" }, h("div", {}, link, head, sub), h("div", { class: "actions" }, Object.values(buttons))),
      h("dl", { class: "facts" }, Object.values(facts).map((one) => one.el)),
      panels.rail.el),
    notes,
    h("div", { class: "pair voted" }, panels.voting.el, panels.board.el),
    panels.scripts.el,
    h("div", { class: "pair" }, panels.videos.el, panels.patterns.el),
    panels.log.el);

  let before = null;
  let linked = "live";
  let told = "";

  function render(state, now) {
    beginFrame();
    const whole = Object.values(panels).map((one) => one.render(state, before, now) !== false).every(Boolean);
    text(facts.elapsed.value, duration(elapsedMs(state, now)));
    const eta = etaMs(state, now);
    text(facts.eta.value, eta === null ? "–" : eta < 1500 ? "any moment" : `about ${about(eta)}`);
    if (state !== before) renderRest(state);
    before = state;
    return whole;
  }

  function renderRest(state) {
    const { spend } = state;
    text(facts.spend.value, spend ? (spend.usd === null ? "unknown" : usd(spend.usd)) + (spend.maxUsd ? ` of ${usd(spend.maxUsd)}` : "") : "–");
    text(facts.calls.value, spend ? spend.calls.toLocaleString("en") : "–");
    text(head, title(state));
    root.dataset.status = state.recovering ? "pending" : state.status;
    const [videos, written] = ["S1_MAP", "S3_SEQUENTIAL"].map((name) => state.stages[name].total);
    text(sub, videos ? `${videos} videos, ${written} scripts, ${state.viewers} viewers, the best ${state.topN} · ${state.model}` : state.model);
    const over = isOver(state);
    facts.eta.el.hidden = over;
    buttons.stop.hidden = over || state.recovering;
    buttons.resume.hidden = !over || state.status === "completed";
    buttons.results.hidden = state.status !== "completed";
    buttons.report.hidden = buttons.resume.hidden || state.patterns.length === 0;
    link.hidden = over || linked === "over";
    if (state.warnings !== before?.warnings || state.error !== before?.error || state.status !== before?.status) renderNotes(state);
    tell(state);
  }

  function renderNotes(state) {
    clear(notes,
      state.error && h("p", { class: "note bad", role: "alert" }, state.error),
      state.status === "cancelled" && h("p", { class: "note" }, "What there was is kept. Resume goes on from there."),
      state.warnings.map((warning) => h("p", { class: "note warn" }, warning)));
  }

  // In words, at each change and each half of a long stage: more would be noise.
  function tell(state) {
    const at = current(state);
    const stage = at && state.stages[at];
    const half = !isOver(state) && stage?.status === "running" && stage.total > 9 && stage.completed * 2 >= stage.total;
    const saying = half ? `${STAGE_NAMES[at]}: ${stage.completed} of ${stage.total}` : title(state);
    const key = half ? `${at} half` : saying;
    if (key === told) return;
    told = key;
    announce(saying);
    document.title = `${title(state)} · flair_ray`;
  }

  function setLink(to) {
    linked = to;
    const [words, kind] = LINKS[to] ?? LINKS.live;
    text(link, words);
    set(link, "class", `chip ${kind}`);
    link.hidden = to === "over" || (before !== null && isOver(before));
  }
  setLink("live");
  return { render, setLink };
}
