// The videos to learn from: the samples, or files and folders that are sent and reported on.

import { announce, clear, h } from "../dom.js";
import { upload } from "../api.js";
import { duration } from "../format.js";
import { alerted, fold, hint, pairs } from "./fields.js";
import { count } from "./words.js";

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
  zone.addEventListener("drop", async (event) => take(await dropped(event.dataTransfer)));
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
    const sent = found.filter(([file]) => !/^(video|audio|image)\//.test(file.type));
    if (!sent.length) return say(alerted("There is no transcript or table among these files."));
    say(h("p", { class: "busy" }, `Reading ${count(sent.length, "file")}…`));
    const form = new FormData();
    for (const [file, path] of sent) form.append("files", file, path);
    try {
      const { video_set_id, report: what } = await upload("/api/videos", form);
      if (signal.aborted) return;
      chosen = { video_set_id, name: sent[0][1].split("/")[0], usable: what.usable, report: what };
      show(chosen);
      announce(`${what.usable} of ${what.found} videos can be used.`);
      changed(chosen);
    } catch (problem) {
      say(alerted(problem.detail ?? String(problem)));
    } finally {
      files.value = folder.value = "";
    }
  }
  const say = (...what) => clear(report, what);
  const show = ({ name, report: what }) => say(reportOf(name, what));
  const el = h("div", { class: "stack" }, h("div", { class: "choices", role: "radiogroup", "aria-label": "Videos" }, ...choices), own);
  return { el, set: (given) => { chosen = given; if (given?.report) show(given); pick(given ? "own" : "samples"); } };
}

function reportOf(name, what) {
  const length = what.durations_s.known ? duration(1000 * what.durations_s.median) : "–";
  const facts = [["Can be used", `${what.usable} of ${what.found}`], ["Median length", length],
    ["Median words", what.words.median ?? "–"], ["With numbers", what.engagement.known]];
  const list = (title, rows) => rows.length > 0 && fold(title,
    h("ul", { class: "listing", tabindex: "0", "aria-label": title },
      rows.slice(0, 200).map(([where, why]) => h("li", {}, h("b", {}, where), ` ${why}`))));
  return [h("p", {}, h("strong", {}, name)),
    pairs(facts),
    list(`${what.skipped.length} skipped`, what.skipped.map(({ where, reason }) => [where, reason])),
    list(`${what.duplicates.length} merged as duplicates`, what.duplicates.map((d) => [d.where, `is ${d.merged_into}`]))];
}

// Every file of what was dropped, folders opened, with its path inside.
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
    for (const one of some) found.push(...await walk(one, `${path}${entry.name}/`));
  }
}
