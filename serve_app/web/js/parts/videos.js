// The videos to learn from: the samples, or files and folders that are sent and reported on.

import { announce, clear, h } from "../dom.js";
import { upload } from "../api.js";
import { duration } from "../format.js";
import { alerted, fold, hint, pairs } from "./fields.js";
import { count } from "./words.js";

const SHOWN = 100, NAMED = 5; // reasons, and files of each: the report is kept with the form
const TRACK = /^.+(\.(?:srt|vtt|json3|txt)): /i; // a reason names the transcript beside the file that was skipped
const READABLE = /\.(srt|vtt|json3|txt|csv|tsv|jsonl|ndjson|json|parquet)$/i;
// What the studio would read of a folder. Of the rest, films above all, nothing is sent.
export const isReadable = (name) => READABLE.test(name) && !/\.live_chat\.json$/i.test(name);

// Chooses the video set. `changed({video_set_id, name, usable} | null)` is called when it is another one.
export function videoChooser(changed, signal) {
  const report = h("div", { class: "report stack", "aria-live": "polite" });
  const files = h("input", { type: "file", multiple: true, class: "unseen", id: "video-files",
    onchange: () => take([...files.files].map((file) => [file, file.name])) });
  const folder = h("input", { type: "file", webkitdirectory: true, class: "unseen", id: "video-folder",
    onchange: () => take([...folder.files].map((file) => [file, file.webkitRelativePath || file.name])) });
  const zone = h("div", { class: "drop" },
    h("p", {}, h("strong", {}, "Drop a folder, CSV or JSON here")),
    hint("A yt-dlp folder, subtitles, transcripts, a table of links and numbers. Videos themselves are not sent."),
    h("div", { class: "row" }, files, h("label", { class: "btn", for: "video-files" }, "Choose files"),
      folder, h("label", { class: "btn", for: "video-folder" }, "Choose a folder")));
  for (const name of ["dragover", "dragleave", "drop"]) {
    zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.toggle("over", name === "dragover"); });
  }
  zone.addEventListener("drop", async (event) => {
    busy("Looking through it…");
    try {
      await take(await dropped(event.dataTransfer));
    } catch (error) {
      refuse(`It cannot be read: ${error.message}`);
    }
  });
  const own = h("div", { class: "stack", hidden: true }, zone, report);
  const choices = [["samples", "Sample library", "100 synthetic transcripts, ready to go"],
    ["own", "Your videos", "What did well in your corner of the feed"]].map(([value, label, hint]) => h("label", { class: "choice" },
      h("input", { type: "radio", name: "videos", value, onchange: () => pick(value) }),
      h("span", {}, h("strong", {}, label), h("small", {}, hint))));
  const pick = (value) => {
    own.hidden = value === "samples";
    for (const choice of choices) choice.firstChild.checked = choice.firstChild.value === value;
    changed(value === "samples" ? null : chosen);
  };
  let chosen = null;

  async function take(found) {
    const sent = found.filter(([, path]) => isReadable(path));
    if (!sent.length) return refuse("There is no transcript or table among these files.");
    busy(`Reading ${count(sent.length, "file")}…`);
    const form = new FormData();
    for (const [file, path] of sent) form.append("files", file, path);
    try {
      const { video_set_id, report: all } = await upload("/api/videos", form);
      if (signal.aborted) return;
      const what = inShort(all);
      chosen = { video_set_id, name: sent[0][1].split("/")[0], usable: what.usable, report: what };
      show(chosen);
      announce(`${what.usable} of ${what.found} videos can be used.`);
      changed(chosen);
    } catch (problem) {
      refuse(problem.detail ?? String(problem));
    } finally {
      files.value = folder.value = "";
    }
  }
  const say = (...what) => clear(report, what);
  const busy = (text) => say(h("p", { class: "busy" }, text));
  const refuse = (text) => say(alerted(text), chosen && hint(`${chosen.name} is still what is chosen.`));
  const show = (given) => say(given?.report?.skipped?.why && reportOf(given.name, given.report));
  // Whether there is something to learn from; says what to do where there is not.
  const ready = () => {
    if (own.hidden || chosen) return true;
    if (!report.querySelector(".busy")) refuse("Choose your videos first, or take the sample library.");
    files.focus();
    return false;
  };
  const named = () => own.hidden ? "sample library" : chosen?.name ?? "none yet";
  const el = h("div", { class: "stack" }, h("div", { class: "choices", role: "radiogroup", "aria-label": "Videos" }, ...choices), own);
  return { el, ready, named, set: (given) => { chosen = given; show(given); pick(given ? "own" : "samples"); } };
}

function reportOf(name, what) {
  const length = what.durations_s.known ? duration(1000 * what.durations_s.median) : "–";
  const facts = [["Can be used", `${what.usable} of ${what.found}`], ["Median length", length],
    ["Median words", what.words.median ?? "–"], ["With engagement numbers", what.engagement.known]];
  const list = ({ n, why }, title) => n > 0 && fold(`${n.toLocaleString("en")} ${title}`,
    h("ul", { class: "listing", tabindex: "0", "aria-label": title }, why.map(([reason, times, names]) => h("li", {},
      h("b", {}, times > 1 ? `${times.toLocaleString("en")} × ` : `${names[0]} `), reason,
      times > 1 && h("p", { class: "hint" }, names.join(", "), times > names.length && ", …"))),
    why.length === SHOWN && h("li", {}, "And for other reasons.")));
  return [h("p", {}, h("strong", {}, name)), pairs(facts), list(what.skipped, "skipped"), list(what.duplicates, "merged as duplicates")];
}

// A report of thousands of files as a person reads it: by reason, those of most files first.
function inShort({ skipped, duplicates, ...what }) {
  const by = (rows, reasonOf) => {
    const groups = {};
    for (const row of rows) (groups[reasonOf(row)] ??= []).push(row.where);
    const why = Object.entries(groups).map(([reason, names]) => [reason, names.length, names.slice(0, NAMED)]);
    return { n: rows.length, why: why.sort((a, b) => b[1] - a[1]).slice(0, SHOWN) };
  };
  return { ...what, skipped: by(skipped, ({ reason }) => reason.replace(TRACK, "its $1: ")), duplicates: by(duplicates, (row) => `is ${row.merged_into}`) };
}

// Every file that was dropped, with its path in its folder.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  return (await Promise.all(entries.map((entry) => walk(entry, "")))).flat();
}

async function walk(entry, path) {
  if (entry.isFile) return [[await new Promise((done, fail) => entry.file(done, fail)), path + entry.name]];
  const reader = entry.createReader(), found = [];
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return found;
    found.push(...(await Promise.all(some.map((one) => walk(one, `${path}${entry.name}/`)))).flat());
  }
}
