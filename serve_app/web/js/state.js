// A run's state as its event log tells it: `reduce(state, message) -> state`, and what is derived from a state.
//
// Pure: no clock, no page; a message's time is in its id, and what depends on the present takes `now`. Plain JSON: two
// pages that show the same run have equal states, whenever they were opened. A message at or before the last one that
// was taken changes nothing, so a log can be read again from any point. `completed` never goes down and never exceeds
// `total`. What nobody has worked does not count as elapsed: a recovery shifts what is under way by the silence.
//
// Besides the log's events: `run`, what GET /api/runs/{id} answers, and `snapshot`, where the log has been trimmed.

export const STAGES = ["S1_MAP", "S2_REDUCE", "S3_SEQUENTIAL", "S4_MAP", "S5_REDUCE", "S6_PERSONALIZE"];
const MAPS = ["S1_MAP", "S3_SEQUENTIAL", "S4_MAP", "S6_PERSONALIZE"];
const LISTS = { S1_MAP: "videos", S3_SEQUENTIAL: "scripts", S4_MAP: "personas", S6_PERSONALIZE: "finals" };
const POINTS = [5, 4, 3, 2, 1];
const ETA_FROM_SHARE = 0.05; // below it, the rate of completions says nothing yet
const LOG_KEPT = 60;

const NO_STAGE = {
  status: "pending", total: 0, completed: 0, skipped: 0, startedMs: 0, endedMs: null, timed: 0, waitedMs: 0,
};

// `assumed`: where it stands is what `run` says, until the first event.
export const initial = () => ({
  lastId: "", assumed: false, runId: "", status: "pending", recovering: false, error: "", results: 0,
  provider: "", model: "", warnings: [], topN: 0, viewers: 0, createdMs: null, startedMs: null, endedMs: null, doneMs: 0,
  spend: null, profile: null, stages: Object.fromEntries(STAGES.map((name) => [name, NO_STAGE])),
  videos: [], patterns: [], scripts: [], personas: [], finals: [], points: {}, topIds: [], refine: null, log: [],
});

export function reduce(state, message) {
  const data = message.data ?? {};
  if (message.event === "run") return withDetail(state, data);
  if (message.event === "snapshot") return withSnapshot(state, data);
  if (!isLater(message.id, state.lastId)) return state;
  const at = Number(message.id.split("-")[0]);
  const known = state.assumed ? { ...state, assumed: false, startedMs: null, endedMs: null, stages: initial().stages } : state;
  const next = HANDLERS[message.event]?.(known, data, at, message.event) ?? known;
  return { ...next, lastId: message.id };
}

const ENDED = ["completed", "failed", "cancelled"];
export const isOver = (state) => ENDED.includes(state.status) && !state.recovering;

// The furthest stage that has begun; null before the first.
export const current = (state) => STAGES.findLast((name) => state.stages[name].status !== "pending") ?? null;

const shown = (state, now) => state.endedMs ?? Math.max(now, Number(state.lastId.split("-")[0]) || 0);

export function elapsedMs(state, now) {
  return state.startedMs === null ? 0 : Math.max(0, shown(state, now) - state.startedMs);
}

export function stageMs(state, name, now) {
  const stage = state.stages[name];
  return stage.startedMs === 0 ? 0 : Math.max(0, (stage.endedMs ?? shown(state, now)) - stage.startedMs);
}

// Milliseconds of work left by the rate of completions so far; null while there is too little to go by. A stage to
// come takes at least as long as a typical call; between completions it counts down.
export function etaMs(state, now) {
  const maps = MAPS.map((name) => ({ name, ...state.stages[name] }));
  const sum = (of) => maps.reduce((all, stage) => all + of(stage), 0);
  const done = sum((stage) => stage.completed);
  if (state.status !== "running" || done < Math.max(1, ETA_FROM_SHARE * sum((stage) => stage.total))) return null;
  const typical = sum((stage) => stage.waitedMs) / Math.max(1, sum((stage) => stage.timed));
  const at = shown(state, now);
  const seen = Math.max(state.doneMs, at - typical);
  const each = sum((stage) => stageMs(state, stage.name, seen)) / done;
  const left = { running: (s) => (s.total - s.completed) * each, pending: (s) => s.total && Math.max(s.total * each, typical) };
  return Math.max(0, sum((stage) => left[stage.status]?.(stage) ?? 0) - (at - seen));
}

export const done = (items) => items.filter((item) => item.state === "done");
export const viewers = (state) => state.personas.filter((persona) => !persona.id.endsWith(" (asked again)"));

// Scripts by points so far, and once the votes are counted, by what was decided; those below keep their points' order.
export function leaderboard(state) {
  const place = (id) => state.topIds.indexOf(id) + 1 || Infinity;
  const points = (id) => state.points[id] ?? 0;
  return done(state.scripts)
    .map((script) => ({ ...script, points: points(script.id), chosen: state.topIds.includes(script.id) }))
    .sort((a, b) => Math.sign(place(a.id) - place(b.id) || 0) || b.points - a.points || (a.id < b.id ? -1 : 1));
}

function isLater(id, than) {
  const [ms, seq] = String(id ?? "").split("-").map(Number);
  const [lastMs, lastSeq] = than ? than.split("-").map(Number) : [-1, 0];
  return ms > lastMs || (ms === lastMs && seq > lastSeq);
}

const num = (value, otherwise = 0) => (typeof value === "number" && Number.isFinite(value) ? value : otherwise);
const str = (value) => (value === null || value === undefined ? "" : String(value));
const strings = (value) => (Array.isArray(value) ? value.map(str) : []);

const logged = (state, at, kind, text) => ({ ...state, log: [...state.log.slice(1 - LOG_KEPT), { at, kind, text }] });
const inStage = (state, name, patch) => ({
  ...state, stages: { ...state.stages, [name]: { ...state.stages[name], ...patch } },
});
const begun = (stage, at) => (stage.startedMs ? stage
  : { ...stage, status: stage.status === "pending" ? "running" : stage.status, startedMs: at });

function withItem(state, list, id, patch) {
  const items = state[list].slice();
  const at = items.findIndex((item) => item.id === id);
  if (at < 0) items.push({ id, state: "open", at: null, ...patch });
  else items[at] = { ...items[at], ...patch };
  return { ...state, [list]: items };
}

function started(state, name, id, at, fields) {
  const known = state[LISTS[name]].find((item) => item.id === id);
  const open = known && known.state !== "open" ? {} : { at };
  return withItem(inStage(state, name, begun(state.stages[name], at)), LISTS[name], id, { ...open, ...fields });
}

// An outcome of an item: its first, or in place of a skip.
function settled(state, name, id, at, data, fields) {
  const stage = begun(state.stages[name], at);
  const known = state[LISTS[name]].find((item) => item.id === id);
  const timed = known?.state === "open" && known.at !== null;
  const total = Math.max(stage.total, num(data.total));
  const skipped = stage.skipped + (fields.state === "skipped") - (known?.state === "skipped");
  const counted = { total, completed: Math.min(total, Math.max(stage.completed, num(data.completed))), skipped };
  const times = timed ? { timed: stage.timed + 1, waitedMs: stage.waitedMs + at - known.at } : {};
  const next = inStage({ ...state, doneMs: at }, name, { ...stage, ...counted, ...times });
  return withItem(next, LISTS[name], id, fields);
}

function onStart(state, data, at) {
  const totals = [data.total_videos, 1, data.total_scripts, data.total_personas, 1,
    Math.min(num(data.top_n), num(data.total_scripts, Infinity))];
  const stages = Object.fromEntries(STAGES.map((name, i) => {
    const stage = state.stages[name];
    return [name, { ...stage, total: Math.max(stage.completed, num(totals[i])) }];
  }));
  const named = { runId: str(data.run_id), provider: str(data.provider), model: str(data.model) };
  const next = { ...state, ...named, stages, status: "running", startedMs: at, topN: num(data.top_n), viewers: num(data.total_personas) };
  return logged({ ...next, warnings: strings(data.warnings) }, at, "stage", "The run has begun.");
}

function onStage(state, data, at, event) {
  const name = str(data.stage);
  if (!STAGES.includes(name)) return state;
  const stage = begun(state.stages[name], at);
  if (event === "stage_started") return inStage(state, name, { ...stage, total: Math.max(stage.completed, num(data.total_items)) });
  const completed = MAPS.includes(name) ? stage.completed : stage.total;
  const next = inStage(state, name, { ...stage, status: "completed", endedMs: at, completed });
  return logged(next, at, "stage", SAID[name](next));
}

const many = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
const SAID = {
  S1_MAP: (s) => `${many(s.stages.S1_MAP.completed, "video")} analysed.`,
  S2_REDUCE: (s) => `${many(s.patterns.length, "pattern")} found.`,
  S3_SEQUENTIAL: (s) => `${many(done(s.scripts).length, "script")} written.`,
  S4_MAP: (s) => `${many(done(viewers(s)).length, "viewer")} voted.`,
  S5_REDUCE: (s) => `The votes are counted: ${s.topIds[0] ?? "nobody"} is first.`,
  S6_PERSONALIZE: (s) => `${many(s.finals.length, "script")} put into your voice.`,
};

function onVote(state, data, at) {
  const id = str(data.persona_id);
  const top = strings(data.top_5).slice(0, POINTS.length);
  const first = state.personas.find((persona) => persona.id === id)?.state !== "done";
  const late = state.stages.S4_MAP.status === "completed"; // it was too late to be counted
  const fields = { state: "done", name: str(data.persona_name), top, reaction: str(data.reaction), late };
  let next = settled(state, "S4_MAP", id, at, data, fields);
  if (first && !late) {
    const points = { ...state.points };
    top.forEach((script, place) => { points[script] = (points[script] ?? 0) + POINTS[place]; });
    next = { ...next, points };
  }
  return top.length ? logged(next, at, "vote", `${fields.name}: ${top.join(", ")}`) : next;
}

function onSkip(state, data, at) {
  const name = data.video_id === undefined ? str(data.stage) : "S1_MAP";
  if (!LISTS[name]) return state;
  const id = str(data.video_id ?? data.item_id);
  const fields = { state: "skipped", reason: str(data.reason) };
  return logged(settled(state, name, id, at, data, fields), at, "skip", `${id} was left out: ${fields.reason}`);
}

// Between the count and the voice, where edits were asked for.
const ASKED = {
  REFINE_PROPOSE: "Viewers who ranked the best scripts lowest are asked what would change their minds.",
  REFINE_CHOOSE: "A part of the panel chooses one edit for each script.",
  REFINE_JUDGE: "The rest of the panel compares each script without and with its edit.",
};

function withStep(state, data, at) {
  const step = state.refine;
  if (step?.step !== str(data.step)) return { ...state, doneMs: at }; // of a step that is over
  const total = Math.max(step.total, num(data.total)), completed = Math.max(step.completed, num(data.completed));
  return { ...state, doneMs: at, refine: { ...step, total, completed } };
}

function onRecovery(state, data, at) {
  const silent = state.lastId ? at - Number(state.lastId.split("-")[0]) : 0;
  const stages = Object.fromEntries(STAGES.map((name) => {
    const stage = state.stages[name];
    return [name, stage.status === "running" ? { ...stage, startedMs: stage.startedMs + silent } : stage];
  }));
  const shifted = Object.fromEntries(Object.values(LISTS).map((list) => [list, state[list].map((item) =>
    (item.state === "open" && item.at !== null ? { ...item, at: item.at + silent } : item))]));
  const startedMs = state.startedMs === null ? at : state.startedMs + silent;
  const again = { status: "running", recovering: false, endedMs: null, error: "", startedMs, doneMs: state.doneMs + silent };
  return logged({ ...state, ...shifted, ...again, stages }, at, "stage", "The run goes on where it had stopped.");
}

const ended = (status, said) => (state, data, at) => {
  const next = { ...state, status, recovering: false, endedMs: at, error: str(data.error), results: num(data.result_count) };
  return logged(next, at, status === "completed" ? "stage" : "skip", said(next));
};

const HANDLERS = {
  pipeline_started: onStart,
  stage_started: onStage,
  stage_completed: onStage,
  s1_task_started: (s, d, at) => started(s, "S1_MAP", str(d.video_id), at, { text: str(d.description) }),
  s1_progress: (s, d, at) => logged(
    settled(s, "S1_MAP", str(d.video_id), at, d,
      { state: "done", hook: str(d.hook_type), pacing: str(d.pacing), triggers: num(d.trigger_count) }),
    at, "item", `${str(d.video_id)}: ${spaced(d.hook_type)}, ${spaced(d.pacing)}`),
  s1_video_skipped: onSkip,
  item_skipped: onSkip,
  s2_complete: (s, d) => ({
    ...s,
    patterns: (Array.isArray(d.patterns) ? d.patterns : []).map((p) => (
      { label: str(p?.label), support: num(p?.support), lift: num(p?.lift, null) })),
  }),
  s3_task_started: (s, d, at) => started(s, "S3_SEQUENTIAL", str(d.script_id), at,
    { pattern: str(d.pattern_used), theme: str(d.theme) }),
  s3_progress: (s, d, at) => logged(
    settled(s, "S3_SEQUENTIAL", str(d.script_id), at, d, { state: "done", hook: str(d.hook) }),
    at, "item", `${str(d.script_id)}: ${str(d.hook)}`),
  s3_complete: (s, d, at) => Object.entries(d.left_out ?? {}).reduce( // near-copies had been done
    (next, [id, reason]) => settled(next, "S3_SEQUENTIAL", id, at, d, { state: "skipped", reason: str(reason) }),
    strings(d.script_ids).reduce((next, id) => withItem(next, "scripts", id, { state: "done" }), s)),
  s4_task_started: (s, d, at) => started(s, "S4_MAP", str(d.persona_id), at, {
    name: str(d.name), location: str(d.location), age: num(d.age, null), occupation: str(d.occupation), about: str(d.description),
  }),
  vote_cast: onVote,
  s5_complete: (s, d) => ({ ...s, topIds: strings(d.top_ids) }),
  refine_started: (s, d, at) => logged({ ...s, refine: { step: str(d.step), total: num(d.total_items), completed: 0 } },
    at, "stage", ASKED[d.step] ?? "The scripts are refined."),
  refine_progress: (s, d, at) => {
    const next = withStep(s, d, at);
    return d.reason ? logged(next, at, "item", `${str(d.persona_name)}, of ${str(d.script_id)}: ${str(d.reason)}`) : next;
  },
  refine_skipped: withStep,
  refine_completed: (s) => ({ ...s, refine: null }),
  refine_result: (s, d, at) => {
    const trials = Array.isArray(d.trials) ? d.trials : [];
    const helped = trials.filter((trial) => trial?.verdict === "gain").length;
    return logged(s, at, "stage", `${many(trials.length, "edit")} judged: ${helped || "none"} clearly better.`);
  },
  s6_task_started: (s, d, at) => started(s, "S6_PERSONALIZE", str(d.script_id), at, { rank: num(d.rank) }),
  s6_progress: (s, d, at) => logged(
    settled(s, "S6_PERSONALIZE", str(d.script_id), at, d, { state: "done" }), at, "item", `${str(d.script_id)} is in your voice.`),
  pipeline_recovered: onRecovery,
  pipeline_complete: ended("completed", (s) => `Done: ${many(s.results, "script")}.`),
  pipeline_error: ended("failed", (s) => `The run failed: ${s.error}`),
  pipeline_cancelled: ended("cancelled", () => "The run was stopped."),
};

export const spaced = (text) => str(text).replaceAll("_", " ");

// What no event tells; and of a run whose log is gone, where it stands.
function withDetail(state, detail) {
  const config = detail.configuration ?? {};
  const next = {
    ...state, runId: str(detail.run_id), createdMs: num(detail.created_at_ms, null),
    recovering: Boolean(detail.recovering) && (!state.lastId || ENDED.includes(state.status)), // what was true when it was asked
    provider: str(config.provider), model: str(config.model), topN: num(config.top_n), viewers: num(config.num_personas), warnings: strings(detail.warnings),
    profile: config.profile ?? null,
    spend: { usd: num(detail.spend?.cost?.usd, null), calls: num(detail.spend?.calls?.calls), maxUsd: num(config.max_usd, null) },
  };
  if (state.lastId) return next;
  const told = { assumed: true, status: str(detail.status) || "pending", error: str(detail.error) };
  const times = { startedMs: num(detail.begun_at_ms, null), endedMs: num(detail.finished_at_ms, null) };
  return withCounts({ ...next, ...told, ...times }, detail.stage_counts ?? {});
}

const withSnapshot = (state, data) => withCounts({ ...state, assumed: false, status: str(data.status) || state.status }, data.stages ?? {});

function withCounts(state, counts) {
  const stages = Object.fromEntries(STAGES.map((name) => {
    const [stage, told] = [state.stages[name], counts[name]];
    if (!told) return [name, stage];
    const total = Math.max(stage.total, num(told.total));
    const completed = Math.min(total, Math.max(stage.completed, num(told.completed)));
    return [name, { ...stage, status: str(told.status), total, completed, skipped: Math.max(stage.skipped, num(told.skipped)) }];
  }));
  return { ...state, stages };
}
