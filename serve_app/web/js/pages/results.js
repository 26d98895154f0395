// Results: the ranking and how sure it is; for each script its text, what filming needs, who liked it, how it did; and
// what was found in the videos.

import { announce, clear, h } from "../dom.js";
import { get, Problem } from "../api.js";
import { rankingTable } from "../parts/ranking.js";
import { scriptText } from "../parts/script.js";
import { edits } from "../parts/edits.js";
import { found } from "../parts/found.js";
import { filming } from "../parts/filming.js";
import { audience, readVoters } from "../parts/audience.js";
import { postForm } from "../parts/posts.js";
import { duration, usd } from "../format.js";
import { button, hint } from "../parts/fields.js";
import { count, spaced } from "../parts/words.js";

export async function mount(root, { params: { id }, signal }) {
  root.append(h("p", { class: "busy" }, "Reading what came of it…"));
  const run = await get(`/api/runs/${id}`, { signal });
  if (!["completed", "failed", "cancelled"].includes(run.status)) return void clear(root, unfinished(id, run.status));
  const [result, providers, posts] = await Promise.all([get(`/api/runs/${id}/files/result.json`, { signal }),
    get("/api/providers", { signal }), get(`/api/performance/${id}`, { signal })]);
  if (!result.ranking?.rows.length) return void clear(root, unfinished(id, run.status, result));

  const finals = new Map(result.results.map((final) => [final.script_id, final]));
  const written = new Map(result.scripts.map((script) => [script.script_id, script]));
  const voters = readVoters(id, signal);
  const detail = h("article", { class: "detail stack", tabindex: "-1", "aria-labelledby": "chosen" });
  const table = rankingTable(result, (scriptId, moved) => show(scriptId, moved));

  const rows = result.ranking.rows;
  const step = (at, label, sign) => button(sign, () => show(rows[at].script_id, true),
    { "aria-label": `${label} script`, disabled: !rows[at] });

  function show(scriptId, moved) {
    const row = rows.find((one) => one.script_id === scriptId);
    const script = written.get(scriptId), final = finals.get(scriptId);
    table.mark(scriptId);
    clear(detail,
      h("header", {}, h("div", { class: "row" },
        hint(`${final ? "To film" : "Below the cut"} · rank ${row.rank} of ${rows.length}`),
        button("Ranking", () => { table.el.scrollIntoView(); table.mark(scriptId).focus({ preventScroll: true }); }, { class: "btn btn-small to-list" }),
        step(row.rank - 2, "Previous", "‹"), step(row.rank, "Next", "›")),
        h("h2", { id: "chosen", class: "spoken" }, final?.hook ?? script.hook),
        h("p", { class: "tags" }, [...script.pattern_used.split(","), script.theme, script.emotion].filter(Boolean)
          .map((part) => h("span", { class: "chip" }, spaced(part.trim()))),
          h("span", { class: "chip" }, duration(1000 * script.estimated_duration)))),
      scriptText(script, final),
      edits(result.refinement, scriptId),
      final && filming(id, final, providers.video, signal),
      audience(row, result.ranking, voters, signal),
      postForm(id, scriptId, posts.performances, signal));
    if (moved) {
      announce(`Rank ${row.rank}: ${script.hook}`);
      detail.focus({ preventScroll: true });
      if (matchMedia("(max-width: 60rem)").matches) detail.scrollIntoView();
    }
  }

  clear(root, head(id, result, run.status), found(result),
    h("div", { class: "columns" }, h("section", { class: "card", "aria-labelledby": "ranked" }, table.el), detail));
  show(rows[0].script_id, false);
}

function head(id, result, status) {
  const file = (name) => `/api/runs/${id}/files/${name}`;
  const { ballots, spoiled } = result.ranking;
  const facts = [count(result.results.length, "script"), `${count(ballots, "ballot")} counted`, spoiled && `${spoiled} spoiled`,
    count(result.calls.total, "call"), usd(result.cost.usd), duration(1000 * result.timing.pipeline_s)];
  return h("header", { class: "page-head" },
    h("div", {}, h("h1", {}, result.results.length ? "Scripts to film" : "Scripts, ranked"),
      h("p", {}, facts.filter(Boolean).join(" · "))),
    h("div", { class: "actions" },
      h("a", { class: "btn btn-primary", href: file("run.zip"), download: `flair-${id.slice(0, 8)}.zip` }, "Download all (ZIP)"),
      h("a", { class: "btn", href: file("report.html"), target: "_blank", rel: "noopener" }, "Report"),
      h("a", { class: "btn", href: `#/runs/${id}` }, "The run")),
    notices(result, status !== "completed" && `This run was ${status}; what there was is ranked.`));
}

const notices = (result, ...more) => h("ul", { class: "note notices" },
  [...more, result.partial && result.stopped_by && `Stopped early: ${result.stopped_by}.`, ...result.notices, ...result.warnings]
    .filter(Boolean).map((text) => h("li", {}, text)));

const unfinished = (id, status, result) => h("section", { class: "card empty" },
  h("h1", {}, result ? "No ranking" : "No ranking yet"),
  h("p", {}, `This run is ${status}. `, result ? result.error : "Its scripts are ranked once the panel has voted."),
  result && notices(result),
  h("p", {}, h("a", { class: "btn btn-primary", href: `#/runs/${id}` }, "Watch the run")));
