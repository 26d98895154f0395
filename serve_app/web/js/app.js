// Which page is shown: the address after # decides. A page is a module with `mount(root, {params, signal, go})`.

import { get, del, Problem } from "./api.js";
import { announce, clear, h } from "./dom.js";

const ROUTES = [
  [/^\/?$/, "create", "Create"],
  [/^\/runs$/, "runs", "Runs"],
  [/^\/runs\/(?<id>[0-9a-f-]{36})$/, "live", "Live"],
  [/^\/runs\/(?<id>[0-9a-f-]{36})\/results$/, "results", "Results"],
  [/^\/insights$/, "insights", "Insights"],
];
const STYLES = { // of those that have not just one of their own name
  runs: ["live"], create: ["parts", "create"], results: ["parts", "results"], insights: ["parts", "insights"],
};
const HERE = new URL("..", import.meta.url);
const page = document.getElementById("page");
let leaving = new AbortController();

export const go = (hash) => {
  if (location.hash === hash) show();
  else location.hash = hash;
};

async function show() {
  const path = location.hash.slice(1) || "/";
  const [pattern, name, title] = ROUTES.find(([known]) => known.test(path)) ?? [null, null, "Not found"];
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  try {
    const who = await get("/api/session", { signal });
    showAccount(who);
    if (who.tokens_needed && !who.tenant) return await mount("signin", "Sign in", {}, signal);
    if (!name) return mounted(h("div", { class: "inner" }, nothing()), title, signal);
    await mount(name, title, { ...pattern.exec(path).groups }, signal);
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof Problem && error.status === 401) return await mount("signin", "Sign in", {}, signal);
    mounted(h("div", { class: "inner" }, failed(error)), title, signal);
  }
}

async function mount(name, title, params, signal) {
  const sheets = STYLES[name] ?? [name];
  const [module] = await Promise.all([import(`./pages/${name}.js`), ...sheets.map(style)]);
  if (signal.aborted) return;
  for (const link of document.querySelectorAll("link[data-page]")) {
    if (link.sheet) link.sheet.disabled = !sheets.includes(link.dataset.page); // pages use the same names
  }
  const root = h("div", { class: `inner page-${name}` });
  mounted(root, title, signal);
  await module.mount(root, { params, signal, go });
}

function mounted(root, title, signal) {
  if (signal.aborted) return;
  clear(page, root);
  document.title = `${title} · flair_ray`;
  for (const link of document.querySelectorAll(".bar nav a")) {
    const here = link.hash === "#/" ? /^(#\/?)?$/.test(location.hash) : location.hash.startsWith(link.hash);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (page.dataset.shown) {
    scrollTo(0, 0);
    page.focus({ preventScroll: true });
    announce(title);
  }
  page.dataset.shown = "1";
}

// A page's own sheet, before the page is seen; pages are shown without one that does not come.
const loaded = new Map();
function style(name) {
  if (name === "signin") return null;
  if (!loaded.has(name)) {
    const link = h("link", { rel: "stylesheet", dataset: { page: name }, href: new URL(`css/${name}.css`, HERE).href });
    loaded.set(name, new Promise((resolve) => { link.onload = link.onerror = resolve; }));
    document.head.append(link);
  }
  return loaded.get(name);
}

function showAccount(who) {
  const left = who.left_usd === null ? "" : ` · $${who.left_usd.toFixed(2)} left`;
  clear(
    document.getElementById("account"),
    who.tenant && h("span", { class: "soft" }, who.tenant, left),
    who.tenant && h("button", { class: "btn btn-quiet", type: "button", onclick: signOut }, "Sign out"),
  );
}

async function signOut() {
  await del("/api/session");
  location.hash = "#/";
  location.reload();
  for (const key of Object.keys(localStorage)) if (key.startsWith("flair:")) localStorage.removeItem(key);
}

export const nothing = () => h("section", { class: "card empty" },
  h("h1", {}, "There is nothing here"),
  h("p", {}, h("a", { href: "#/" }, "Make some scripts"), " or look at ", h("a", { href: "#/runs" }, "your runs"), "."));

// Without what a terminal would do about it.
const failed = (error) => h("section", { class: "card empty" },
  h("h1", {}, error instanceof Problem && error.status === 404 ? "This is not here any more" : "That did not work"),
  h("p", { role: "alert" }, error.detail?.split(" `flair ")[0] ?? "The page could not be shown. The browser's console has the reason."),
  h("p", {}, h("button", { class: "btn", type: "button", onclick: show }, "Try again"), " ", h("a", { href: "#/runs" }, "Your runs")),
  error instanceof Problem ? null : void console.error(error));

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address says which page it is
  page.focus();
});
addEventListener("hashchange", show);
show();
