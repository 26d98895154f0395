// Elements are made here and nowhere else. Whatever is text becomes a text node: nothing is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

// An element. Props: on* are listeners; `dataset` and `style` are objects; `class` and all else attributes, where
// true is an empty one and false, null and undefined are none. Children: nodes, texts, numbers, arrays of these;
// null, undefined and booleans are left out.
export const h = (tag, props, ...children) => build(document.createElement(tag), props, children);
export const svg = (tag, props, ...children) => build(document.createElementNS(SVG, tag), props, children);

function build(el, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) set(el, name, value);
  el.append(...flat(children));
  return el;
}

export function set(el, name, value) {
  if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
  else if (name === "dataset") Object.assign(el.dataset, value);
  else if (name === "style") for (const [key, to] of Object.entries(value)) el.style.setProperty(key, to);
  else if (name === "value" && "value" in el && el.localName !== "li") el.value = value;
  else if (value === false || value === null || value === undefined) el.removeAttribute(name);
  else el.setAttribute(name, value === true ? "" : value);
}

const flat = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== undefined && typeof child !== "boolean");

export function clear(el, ...children) {
  el.replaceChildren(...flat(children));
  return el;
}

// Sets the text of an element, touching the page only where it changes.
export function text(el, to) {
  const shown = String(to);
  if (el.textContent !== shown) el.textContent = shown;
}

// Tells those who listen to the page instead of looking at it.
export function announce(what) {
  text(document.getElementById("said"), what);
}

// One tab stop for a list of buttons: arrows, Home and End move within it.
export function roving(list) {
  const items = () => [...list.querySelectorAll("button")];
  const rest = () => {
    if (!list.querySelector('[tabindex="0"]')) list.querySelector("button")?.setAttribute("tabindex", "0");
  };
  list.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const to = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : step === undefined ? -1 : at + step;
    if (at < 0 || !all[to]) return;
    event.preventDefault();
    all[at].tabIndex = -1;
    all[to].tabIndex = 0;
    all[to].focus();
  });
  return rest;
}
