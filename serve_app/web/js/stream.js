// A run's events, for as long as they are wanted: from the beginning or a cursor, through lost connections, sleeping
// laptops and a server that is started again: what is refused, lost or silent is asked for anew from the last id. A
// hidden page lets go, because all tabs share six connections.
//
// Read by hand and not by an EventSource, which dispatches all that has come in one task: of a long log tens of
// milliseconds. Here it is taken a piece at a time, and unpacked by whoever takes it in.

import { get } from "./api.js";

const ENDS = ["pipeline_complete", "pipeline_error", "pipeline_cancelled"];
const ENDED = ["completed", "failed", "cancelled"];
const SILENT_MS = 40_000; // a heartbeat comes every 25 s
const LOOK_MS = 5_000;
const LET_GO_MS = 20_000;
const MOST_MS = 5_000;
const SLICE_MS = 5; // of a task

// Calls `onMessage` with each message, as text or parsed, `onLink` with "live", "lost", "over" or "gone". Ends with the signal.
// Returns `again()`, which looks whether there is more: after a resume.
export function follow(runId, { signal, onMessage, onLink }) {
  let source = null; // what ends the connection there is
  let cursor = "";
  let ended = false; // the last event was one that ends a run
  let over = false;
  let failures = 0;
  let timer = 0;
  let heardAt = 0;

  const later = (ms, what) => {
    clearTimeout(timer);
    timer = setTimeout(what, ms);
  };
  const stop = () => {
    clearTimeout(timer);
    source?.abort();
    source = null;
  };

  async function open() {
    stop();
    if (signal.aborted) return;
    const mine = source = new AbortController();
    const from = cursor ? `?cursor=${encodeURIComponent(cursor)}` : "";
    heardAt = performance.now();
    try {
      const answer = await fetch(`/api/pipeline/status/${runId}${from}`, { signal: mine.signal, cache: "no-store" });
      if (answer.status !== 200) return await refused();
      onLink("live");
      for await (const block of blocks(answer.body)) if (mine === source) heard(block);
    } catch { /* cut off */ }
    if (mine === source) lost();
  }

  function heard(block) {
    heardAt = performance.now();
    const { id, event, data } = fields(block);
    if (!data) return;
    cursor = id || cursor;
    failures = 0;
    if (event !== "heartbeat") ended = ENDS.includes(event);
    onMessage(data);
  }

  function lost() {
    stop();
    onLink("lost");
    later(Math.min(MOST_MS, 250 * 2 ** failures++) * (0.75 + Math.random() / 2), open);
  }

  // Anything but a stream: 204 when nothing follows, 404 of a log that is gone, 503 of a server that is starting.
  async function refused() {
    stop();
    try {
      const run = await get(`/api/runs/${runId}`, { signal });
      onMessage({ event: "run", data: run });
      over = ENDED.includes(run.status) && !run.recovering && (ended || failures > 1);
      if (over) return onLink("over");
    } catch (problem) {
      if (signal.aborted) return;
      over = problem.status === 404 || problem.status === 401;
      if (over) return onLink("gone");
    }
    lost();
  }

  function seen() {
    if (over) return;
    if (document.hidden) later(LET_GO_MS, stop);
    else if (source) clearTimeout(timer);
    else open();
  }

  document.addEventListener("visibilitychange", seen, { signal });
  addEventListener("online", () => over || open(), { signal });
  const watchdog = setInterval(() => source && performance.now() - heardAt > SILENT_MS && lost(), LOOK_MS);
  signal.addEventListener("abort", () => { clearInterval(watchdog); stop(); });
  open();
  return () => { over = false; open(); };
}

// The blocks of a stream, each whole: one that was cut off is asked for again.
async function* blocks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let until = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n\n");
    rest = whole.pop();
    for (const block of whole) {
      yield block;
      if (performance.now() > until) {
        await new Promise((go) => setTimeout(go));
        until = performance.now() + SLICE_MS;
      }
    }
  }
}

const fields = (block) => Object.fromEntries(block.split("\n").map((line) => {
  const at = line.indexOf(":");
  return [line.slice(0, at), line.slice(at + 1).trimStart()];
}));
