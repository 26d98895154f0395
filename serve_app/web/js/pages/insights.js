// Insights: what posted scripts have taught, with the numbers it rests on, and nothing where there are too few.

import { clear, h, svg } from "../dom.js";
import { get } from "../api.js";
import { fold, hint, plot } from "../parts/fields.js";
import { count, percent, sentence, spaced } from "../parts/words.js";

export async function mount(root, { signal }) {
  const found = await get("/api/insights", { signal });
  clear(root,
    h("header", { class: "page-head" }, h("div", {}, h("h1", {}, "Insights"),
      h("p", {}, "What your audience rewarded, and how well the panel saw it coming."))),
    panel(found),
    found.top_patterns.length > 0 && [
      lifts("Patterns", "Engagement per view against your usual; shrunk toward it where few were posted.", found.top_patterns),
      lifts("Hooks", "The same by how a script opens.", found.hook_types),
      hint("Association, never cause. The line is a 95 % interval: where it crosses 1 ×, nothing is shown yet."),
    ],
    h("p", {}, "Posted a script? Open the results of ", h("a", { href: "#/runs" }, "its run"), ", and report the post below the script."),
  );
}

function panel({ prediction_accuracy: share, interval, n, pairs, note, method, total_videos_tracked: total }) {
  return h("section", { class: "card panel" },
    h("div", {},
      h("h2", {}, share === null ? "Too early to say" : "The panel"),
      share !== null && h("p", { class: "price" }, percent(share),
        h("small", {}, ` likely ${percent(interval[0])} to ${percent(interval[1])}`)),
      h("p", {}, note),
      hint(`${count(total, "post")} reported`,
        n > 0 && `, ${count(n, "script")} compared in ${count(pairs, "pair")}`, ".")),
    share !== null && gauge(share, interval),
    fold("How this is counted", h("p", {}, method)));
}

// A share between 0 and 1 with its interval; the dashed line is what a coin would have.
function gauge(share, [low, high]) {
  const x = (value) => `${4 + 92 * value}%`;
  return h("figure", { class: "gauge" },
    svg("svg", { role: "img", "aria-label": `${percent(share)}, between ${percent(low)} and ${percent(high)}; a coin has 50 %`,
      height: 64, width: "100%" },
      svg("line", { class: "axis", x1: x(0), x2: x(1), y1: 28, y2: 28 }),
      svg("line", { class: "coin", x1: x(0.5), x2: x(0.5), y1: 8, y2: 48 }),
      svg("line", { class: "range", x1: x(low), x2: x(high), y1: 28, y2: 28 }),
      svg("circle", { class: "dot", cx: x(share), cy: 28, r: 8 }),
      [[0, "0 %"], [0.5, "a coin"], [1, "100 %"]].map(([at, label]) =>
        svg("text", { x: x(at), y: 62, "text-anchor": at === 0 ? "start" : at === 1 ? "end" : "middle" }, label))));
}

function lifts(title, lead, rows) {
  const far = Math.max(1.5, ...rows.flatMap(({ interval: [low, high] }) => [high, 1 / low]));
  const x = (lift) => `${50 + 48 * Math.log(Math.min(far, Math.max(1 / far, lift))) / Math.log(far)}%`;
  return h("section", { class: "card" }, h("h2", {}, title), hint(lead),
    h("ul", { class: "lifts" }, rows.map(({ pattern, n, engagement_rate, lift, interval: [low, high] }) => h("li", {},
      h("b", {}, sentence(spaced(pattern))),
      h("span", { class: "hint" }, `${count(n, "script")}, ${(100 * engagement_rate).toFixed(1)} % engage`),
      h("span", { class: "num" }, `${lift.toFixed(2)} × `, h("small", {}, `${low.toFixed(2)} to ${high.toFixed(2)}`)),
      plot(24,
        svg("line", { class: "coin", x1: "50%", x2: "50%", y1: 2, y2: 22 }),
        svg("line", { class: "range", x1: x(low), x2: x(high), y1: 12, y2: 12 }),
        svg("circle", { class: "dot", cx: x(lift), cy: 12, r: 5 }))))));
}
