// A card about one item of a list of buttons, beside it, or at the foot of a small screen: while it is pointed at,
// focused or tapped. Escape closes it; it stays while it is pointed at itself.

import { clear, h } from "../dom.js";

const WAIT_MS = 120;

// `fill(index)` gives the nodes to show, or null for none. The list's buttons have their index in data-i.
export function cards(list, fill, { signal }) {
  const card = h("aside", { class: "about", role: "tooltip", id: `about-${list.id}`, hidden: true });
  let shown = null;
  let timer = 0;

  const hide = () => {
    shown?.removeAttribute("aria-describedby");
    shown = null;
    card.hidden = true;
  };
  const hideSoon = () => { clearTimeout(timer); timer = setTimeout(hide, WAIT_MS); };
  const keep = () => clearTimeout(timer);
  const show = (event) => {
    const button = event.target.closest("button[data-i]");
    if (!button) return;
    keep();
    if (button === shown) return;
    hide();
    shown = button;
    refresh();
  };
  const refresh = () => {
    if (!shown) return;
    const content = fill(Number(shown.dataset.i));
    if (!content) return hide();
    clear(card, content);
    card.hidden = false;
    shown.setAttribute("aria-describedby", card.id);
    place();
  };
  const place = () => {
    if (innerWidth < 640) return card.style.removeProperty("top"), card.style.removeProperty("left");
    const at = shown.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = card;
    const right = at.left + at.width / 2 + width + 24 < innerWidth;
    const wide = at.width > width; // a whole row: beside its beginning
    const left = wide ? at.left + Math.min(at.width - width, 176) : right ? at.right + 8 : at.left - width - 8;
    const below = wide && at.bottom + height + 16 < innerHeight;
    const top = wide ? (below ? at.bottom + 4 : at.top - height - 4) : at.top - 12;
    card.style.setProperty("left", `${Math.max(8, left)}px`);
    card.style.setProperty("top", `${Math.max(8, Math.min(top, innerHeight - height - 8))}px`);
  };

  list.addEventListener("pointerover", (event) => event.pointerType === "touch" || show(event)); // a tap is a click
  list.addEventListener("focusin", (event) => event.target.matches(":focus-visible") && show(event));
  list.addEventListener("click", show);
  list.addEventListener("pointerleave", hideSoon);
  list.addEventListener("focusout", hideSoon);
  card.addEventListener("pointerenter", keep);
  card.addEventListener("pointerleave", hideSoon);
  addEventListener("keydown", (event) => event.key === "Escape" && hide(), { signal });
  addEventListener("scroll", (event) => shown && event.target !== card && place(), { signal, passive: true, capture: true });
  addEventListener("pointerdown", (event) => list.contains(event.target) || card.contains(event.target) || hide(), { signal });
  document.body.append(card);
  signal.addEventListener("abort", () => card.remove());
  return refresh;
}
