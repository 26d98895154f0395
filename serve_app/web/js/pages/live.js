// One run, while it goes and after: events come in, a state comes out, once a frame the page shows it. A frame that was
// spent on taking in a backlog leaves showing it to the next.

import { get, post, serverNow } from "../api.js";
import { h } from "../dom.js";
import { createView } from "../live/view.js";
import { current, initial, isOver, reduce } from "../state.js";
import { follow } from "../stream.js";

const SLICE_MS = 5; // of a frame, for taking in what has come
const TICK_MS = 500; // clocks go on between events
const DETAIL_MS = 4_000; // what calls have cost is not in the log

const parsed = (message) => (typeof message === "string" ? JSON.parse(message) : message);

export async function mount(root, { params: { id }, signal }) {
  const detail = await get(`/api/runs/${id}`, { signal });
  const waiting = [{ event: "run", data: detail }];
  let state = initial();
  let frame = 0;
  let askedAt = "";

  const view = createView(root, {
    id, signal,
    stop: () => confirmStop(root, () => act("cancel")),
    resume: () => act("recover"),
  });
  const again = follow(id, { signal, onMessage: take, onLink: view.setLink });

  function take(message) {
    waiting.push(message);
    frame ||= requestAnimationFrame(show);
  }

  function show() {
    frame = 0;
    const until = performance.now() + SLICE_MS;
    let taken = 0;
    while (taken < waiting.length && performance.now() < until) state = reduce(state, parsed(waiting[taken++]));
    waiting.splice(0, taken);
    const whole = performance.now() < until && view.render(state, serverNow());
    if (waiting.length || !whole) frame = requestAnimationFrame(show);
    else root.dataset.event = state.lastId;
    const at = `${current(state)} ${isOver(state)}`;
    if (waiting.length || at === askedAt) return;
    askedAt = at;
    ask();
  }

  async function ask() {
    try {
      take({ event: "run", data: await get(`/api/runs/${id}`, { signal }) });
    } catch { /* the stream says what is wrong */ }
  }

  async function act(what) {
    try {
      await post(`/api/pipeline/${id}/${what}`);
      await ask();
      again();
    } catch (problem) {
      root.querySelector(".notes").prepend(h("p", { class: "note bad", role: "alert" }, problem.detail));
    }
  }

  const tick = setInterval(() => isOver(state) || document.hidden || (frame ||= requestAnimationFrame(show)), TICK_MS);
  const look = setInterval(() => isOver(state) || document.hidden || ask(), DETAIL_MS);
  signal.addEventListener("abort", () => { clearInterval(tick); clearInterval(look); cancelAnimationFrame(frame); });
  show();
  root.state = () => state; // for whoever looks from outside: tests, and the console
}

function confirmStop(root, stop) {
  const dialog = h("dialog", { "aria-labelledby": "stop-title", onclose: () => dialog.remove() },
    h("h2", { id: "stop-title" }, "Stop this run?"),
    h("p", {}, "Calls under way are dropped or finished; everything that is there is kept, and you can resume later."),
    h("div", { class: "actions" },
      h("button", { class: "btn", type: "button", autofocus: true, onclick: () => dialog.close() }, "Let it go on"),
      h("button", { class: "btn btn-danger", type: "button", onclick: () => { dialog.close(); stop(); } }, "Stop")));
  root.append(dialog);
  dialog.showModal();
}
