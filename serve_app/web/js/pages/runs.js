// Everything that was run in this browser's session, the newest first.

import { del, get, post } from "../api.js";
import { announce, clear, h, text } from "../dom.js";
import { STAGES } from "../state.js";
import { STAGE_NAMES } from "../live/panels.js";

const LOOK_MS = 3_000;
const SAID = {
  pending: ["Waiting", ""], running: ["Running", "on"], completed: ["Done", "ok"], failed: ["Failed", "bad"], cancelled: ["Stopped", "warn"],
};

export async function mount(root, { signal, go }) {
  const list = h("ol", { class: "runs" });
  const fault = h("p", { class: "note bad", role: "alert", hidden: true });
  root.append(
    h("header", { class: "page-head" },
      h("div", {}, h("h1", {}, "Your runs"), h("p", {}, "Everything made in this browser. Finished runs stay until you delete them.")),
      h("a", { class: "btn btn-primary", href: "#/" }, "New scripts")),
    fault, list);
  let told = "";

  async function look() {
    const { runs } = await get("/api/runs", { signal });
    const now = JSON.stringify(runs);
    if (now === told) return runs;
    const focused = document.activeElement?.dataset?.key;
    told = now;
    clear(list, runs.length ? runs.toReversed().map(row) : nothing());
    if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    return runs;
  }

  const does = (what, said) => async () => {
    fault.hidden = true;
    try {
      await what();
      announce(said);
      await look();
      if (document.activeElement === document.body) root.querySelector(".runs a, .page-head a").focus(); // its row is gone
    } catch (problem) {
      text(fault, problem.detail ?? String(problem));
      fault.hidden = false;
    }
  };

  function row(run) {
    const [word, kind] = SAID[run.status] ?? [run.status, ""];
    const done = run.status === "completed";
    const name = `run ${run.run_id.slice(0, 8)}`;
    const look = done ? "How it went" : ["failed", "cancelled"].includes(run.status) ? "Look inside" : "Watch";
    const key = (what) => ({ key: `${what} ${run.run_id}` });
    return h("li", { class: "card run", dataset: { status: run.status } },
      h("div", { class: "what" },
        h("h2", {}, h("a", { href: done ? `#/runs/${run.run_id}/results` : `#/runs/${run.run_id}`, dataset: key("open") }, run.title || headline(run))),
        h("p", { class: "small soft" }, [run.title && headline(run), when(run), run.model, h("code", {}, run.run_id.slice(0, 8))].filter(Boolean).flatMap((part, i) => (i ? [" · ", part] : [part])))),
      h("ol", { class: "dots", "aria-label": "Stages" }, STAGES.map((stage) =>
        h("li", { dataset: { status: run.stages[stage] ?? "pending" }, title: STAGE_NAMES[stage] }, h("span", { class: "unseen" }, `${STAGE_NAMES[stage]}: ${run.stages[stage] ?? "pending"}`)))),
      h("span", { class: `chip ${kind}` }, word),
      h("div", { class: "actions" },
        h("a", { class: "btn btn-small", href: `#/runs/${run.run_id}`, "aria-label": `${look} (${name})`, dataset: key("live") }, look),
        ["failed", "cancelled"].includes(run.status) && h("button", {
          class: "btn btn-small", type: "button", "aria-label": `Resume ${name}`, dataset: key("resume"),
          onclick: does(async () => { await post(`/api/pipeline/${run.run_id}/recover`); go(`#/runs/${run.run_id}`); }, "Resumed"),
        }, "Resume"),
        h("button", { class: "btn btn-small btn-quiet btn-danger", type: "button", "aria-label": `Delete ${name}`, dataset: key("delete"), onclick: () => confirmDelete(run) }, "Delete")));
  }

  function confirmDelete(run) {
    const running = !["completed", "failed", "cancelled"].includes(run.status);
    const dialog = h("dialog", { "aria-labelledby": "delete-title", onclose: () => dialog.remove() },
      h("h2", { id: "delete-title" }, "Delete this run?"),
      h("p", {}, running && "It is stopped first. ", "Its scripts, its votes and its files are gone for good."),
      h("div", { class: "actions" },
        h("button", { class: "btn", type: "button", autofocus: true, onclick: () => dialog.close() }, "Keep it"),
        h("button", { class: "btn btn-danger", type: "button", onclick: () => { dialog.close(); does(() => del(`/api/runs/${run.run_id}`), "Deleted")(); } }, "Delete")));
    root.append(dialog);
    dialog.showModal();
  }

  await look();
  const timer = setInterval(() => document.hidden || root.querySelector("dialog") || look().catch(() => {}), LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

const headline = (run) => ({
  completed: "Scripts are ready", failed: `Failed at ${STAGE_NAMES[run.current_stage] ?? "the start"}`,
  cancelled: `Stopped at ${STAGE_NAMES[run.current_stage] ?? "the start"}`, pending: "Waiting to begin",
}[run.status] ?? `At ${STAGE_NAMES[run.current_stage] ?? "the start"}`);

const when = (run) => run.created_at_ms && new Date(run.created_at_ms).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

const nothing = () => h("li", { class: "card empty" },
  h("h2", {}, "Nothing yet"),
  h("p", {}, "A run takes your voice and a folder of videos, and comes back with ranked scripts. The first one takes a minute, on the samples."),
  h("a", { class: "btn btn-primary", href: "#/" }, "Make scripts"));
