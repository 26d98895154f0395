// What filming takes: the files of a script, its shots, the prompt for a video model, and a video made from it.

import { announce, clear, h } from "../dom.js";
import { get, post, remembered } from "../api.js";
import { button as push } from "./fields.js";
import { copyButton } from "./script.js";

const LOOK_MS = 1500; // between two looks at a video that is being made

// What the files of a script are called, as outputs/names.py says: "01-nobody-tells-you-this".
export function fileStem({ rank, hook }) {
  const ascii = hook.normalize("NFKD").replace(/[^\x00-\x7f]/g, "").toLowerCase().replaceAll("'", "");
  const words = ascii.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "");
  const whole = /^[a-z0-9-]{1,40}(?![a-z0-9])/.exec(words)?.[0].replace(/^-+|-+$/g, "");
  return `${String(rank).padStart(2, "0")}-${whole ?? (words.slice(0, 40) || "script")}`;
}

export function filming(runId, final, providers, signal) {
  const stem = fileStem(final);
  const file = (kind) => `/api/runs/${runId}/files/scripts/${stem}.${kind}`;
  const link = (kind, label, more) => h("a", { class: "btn btn-small", href: file(kind), ...more }, label);
  const save = (kind, label) => link(kind, label, { download: `${stem}.${kind}` });
  return h("section", { class: "card stack" }, h("h3", {}, "Film it"),
    h("div", { class: "row" }, link("teleprompter.html", "Teleprompter", { target: "_blank", rel: "noopener" }),
      save("srt", "Subtitles (SRT)"), save("shots.csv", "Shot list (CSV)")),
    final.shots.length > 0 && shotList(final.shots),
    promptBox("Video prompt", final.video_prompt),
    promptBox("Video prompts, shot by shot", final.shots.map((shot) => shot.video_prompt).filter(Boolean).join("\n\n")),
    providers.length > 0 && video(runId, final.script_id, providers, signal));
}

const promptBox = (title, prompt) => prompt && h("div", { class: "prompt-box" },
  h("header", {}, h("h4", {}, title), copyButton(prompt)), h("p", {}, prompt));

const shotList = (shots) => h("table", { class: "shots" },
  h("thead", {}, h("tr", {}, ["Time", "The camera sees", "On screen"].map((name) => h("th", { scope: "col" }, name)))),
  h("tbody", {}, shots.map((shot) => h("tr", {}, h("td", { class: "num" }, `${shot.start_s}–${shot.end_s} s`),
    h("td", {}, shot.visual), h("td", {}, shot.on_screen_text)))));

// Orders a video and shows it. One that was ordered from this browser is found again.
function video(runId, scriptId, providers, signal) {
  const key = `video:${runId}:${scriptId}`;
  const choice = h("select", { "aria-label": "Video by" },
    providers.map((name) => h("option", { value: name }, name)));
  const button = push("Make a video", order, { class: "btn" });
  const shown = h("div", { role: "status" });
  const say = (text, bad) => clear(shown, h("p", { class: bad ? "fault" : "busy" }, text));

  async function order() {
    button.disabled = true;
    try {
      const order = { run_id: runId, script_id: scriptId, video_model: choice.value };
      const { job_id } = await post("/api/video/generate", order);
      remembered(key, job_id);
      await follow(job_id);
    } catch (problem) {
      say(problem.detail ?? String(problem), true);
    } finally {
      button.disabled = false;
    }
  }

  async function follow(job) {
    while (!signal.aborted) {
      const { status, video_url, error } = await get(`/api/video/status/${runId}/${job}`, { signal });
      if (status === "complete") {
        announce("The video is ready.");
        return clear(shown, h("video", { src: video_url, controls: true, playsinline: true, preload: "metadata" }),
          h("a", { class: "btn btn-small", href: video_url, download: `${scriptId}.mp4` }, "Download the video"));
      }
      if (status === "failed") return say(`It could not be made: ${error}`, true);
      say("Making it. You may leave; it goes on.");
      await new Promise((done) => setTimeout(done, LOOK_MS));
    }
  }

  const before = remembered(key);
  if (before) follow(before).catch(() => clear(shown));
  return h("div", { class: "stack" }, h("div", { class: "row" }, button, providers.length > 1 && choice), shown);
}
