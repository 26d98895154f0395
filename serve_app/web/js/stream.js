// A run's events, for as long as they are wanted: from the beginning or a cursor, through lost connections, sleeping
// laptops and a server that is started again: what is refused, lost or silent is asked for anew from the last id. A
// hidden page lets go, because all tabs share six connections.

import { get } from "./api.js";

const NAMES = [
  "pipeline_started", "stage_started", "stage_completed", "s1_task_started", "s1_progress", "s1_video_skipped",
  "s2_complete", "s3_task_started", "s3_progress", "s3_complete", "s4_task_started", "vote_cast", "s5_complete",
  "s6_task_started", "s6_progress", "item_skipped", "pipeline_recovered", "pipeline_complete", "pipeline_error",
  "pipeline_cancelled", "heartbeat", "snapshot",
];
const ENDS = ["pipeline_complete", "pipeline_error", "pipeline_cancelled"];
const ENDED = ["completed", "failed", "cancelled"];
const SILENT_MS = 40_000; // a heartbeat comes every 25 s
const LOOK_MS = 5_000;
const LET_GO_MS = 20_000;
const MOST_MS = 10_000;

// Calls `onMessage` with each message, as text or parsed, `onLink` with "live", "lost", "over" or "gone". Ends with the signal.
// Returns `again()`, which looks whether there is more: after a resume.
export function follow(runId, { signal, onMessage, onLink }) {
  let source = null;
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
    source?.close();
    source = null;
  };

  function open() {
    stop();
    if (signal.aborted) return;
    const from = cursor ? `?cursor=${encodeURIComponent(cursor)}` : "";
    source = new EventSource(`/api/pipeline/status/${runId}${from}`);
    source.onopen = () => onLink("live");
    source.onerror = (event) => (event.target.readyState === EventSource.CLOSED ? refused() : lost());
    for (const name of NAMES) source.addEventListener(name, heard);
    heardAt = performance.now();
  }

  // Thousands of these may come in one task.
  function heard(event) {
    cursor = event.lastEventId || cursor;
    failures = 0;
    if (event.type !== "heartbeat") ended = ENDS.includes(event.type);
    onMessage(event.data);
    heardAt = performance.now();
  }

  // Not left to the EventSource, whose address has an older cursor.
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
