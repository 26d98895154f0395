// What the videos have in common, and what was found in each of them: with numbers where there are any, and with quotes.

import { h } from "../dom.js";
import { fold, hint } from "./fields.js";
import { count, percent, sentence, spaced } from "./words.js";

const SHOWN = 100; // videos

// Folded, and made when it is opened: whoever came for the ranking does not wait for it.
export function found({ library, patterns = [] }) {
  if (!library?.entries.length) return null;
  const el = fold(["What the videos have in common",
    h("small", {}, ` ${count(library.entries.length, "pattern")} in ${count(library.videos, "video")}`)]);
  el.classList.add("card");
  el.addEventListener("toggle", () => el.append(...inside(library, patterns).filter(Boolean)), { once: true });
  return el;
}

const quoted = (text) => `“${text}”`;
const at = (quote) => `${quoted(quote.text)} (${percent(quote.at)})`;
const facts = (...some) => h("span", { class: "hint" }, some.filter(Boolean).join(" · "));
const label = ({ hook_type, pacing, emotional_arc }) => spaced(`${hook_type} hook, ${pacing}, ${emotional_arc}`);
const known = (value) => value !== null && value !== undefined;

function inside(library, patterns) {
  const { entries, together, quotes, quotes_dropped: dropped, median_engagement: rate, median_per_follower: reach,
    median_words_per_second: pace } = library;
  const typical = [known(pace) && `${pace.toFixed(1)} words a second`, known(rate) && `${rate.toFixed(3)} interactions per view`,
    known(reach) && `${reach.toFixed(3)} per follower`].filter(Boolean);
  return [
    hint("Association, never cause: what goes together in these videos is not thereby why they did well.",
      !known(rate) && !known(reach) && " They came with no numbers, so nothing is said of how well a pattern did."),
    h("ul", { class: "found" }, entries.map(entry)),
    together.length > 0 && hint("Seen together more often than by chance: ", together.map((pair) =>
      `${pair.first} with ${pair.second} (${count(pair.support, "video")}, ${pair.times_chance.toFixed(1)} × chance)`).join("; "), "."),
    typical.length > 0 && hint(`The typical video: ${typical.join(", ")}.`),
    quotes > 0 && hint(`Quotes are looked up in the transcripts: ${count(quotes, "quote")} checked, ${dropped} never said and left out.`),
    patterns.length > 0 && fold("Each video, and the words that show it",
      patterns.length > SHOWN && hint(`The first ${SHOWN} of ${patterns.length}; result.json in the ZIP has all.`),
      h("ul", { class: "found", tabindex: "0", "aria-label": "Each video" }, patterns.slice(0, SHOWN).map(video))),
  ];
}

function entry(one) {
  const { support, lift, rated, lift_per_follower: reach, weight, triggers, exemplars, loop_opens, loop_closes } = one;
  return h("li", {}, h("b", {}, sentence(label(one))),
    facts(count(support, "video"), known(lift) ? `engagement ${lift.toFixed(2)} × the median (${rated} with numbers)` : "no numbers",
      known(reach) && `per follower ${reach.toFixed(2)} ×`, `${percent(weight)} of the scripts`,
      known(loop_opens) && `loops open at ${percent(loop_opens)}`, known(loop_closes) && `close at ${percent(loop_closes)}`,
      spaced(triggers.join(", "))),
    exemplars.map(({ hook, quote }) => h("p", { class: "spoken" }, quoted(hook), quote && quote !== hook && ` … ${quoted(quote)}`)));
}

function video(one) {
  const { video_id, hook, words_per_second: pace, structure, pattern_interrupts: interrupts, loops, triggers,
    engagement_driver: driver, engagement_quote: shown, quotes, quotes_dropped: dropped } = one;
  return h("li", {}, h("p", { class: "spoken" }, quoted(hook)),
    facts(video_id, label(one), spaced(triggers.join(", ")), known(pace) && `${pace.toFixed(1)} words a second`,
      count(interrupts, "pattern interrupt"), structure.join(" → ")),
    h("p", {}, "What makes people react: ", driver, shown && ` ${at(shown)}`),
    loops.map(({ opens, closes }) => h("p", {}, `A loop opens: ${at(opens)} and `, closes ? `closes: ${at(closes)}` : "stays open")),
    dropped > 0 && facts(`${dropped} of ${count(quotes, "quote")} never said and left out`));
}
