// Sign in: a token, as `flair token` prints it, is exchanged for a cookie that no script can read.

import { post } from "../api.js";
import { h, text } from "../dom.js";

export async function mount(root, { go }) {
  const token = h("input", {
    id: "token", name: "token", type: "password", autocomplete: "current-password", required: true, maxlength: 200,
    spellcheck: "false", "aria-describedby": "token-hint token-fault",
  });
  const fault = h("p", { id: "token-fault", class: "fault", role: "alert" });
  const button = h("button", { class: "btn btn-primary", type: "submit" }, "Sign in");
  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    try {
      await post("/api/session", { token: token.value.trim() });
      go(location.hash || "#/");
    } catch (problem) {
      text(fault, problem.detail);
      token.setAttribute("aria-invalid", "true");
      token.focus();
    } finally {
      button.disabled = false;
    }
  }
  root.append(h("form", { class: "card signin", onsubmit: submit },
    h("h1", {}, "Sign in to the studio"),
    h("label", { for: "token" }, "Your token"),
    token,
    h("p", { id: "token-hint", class: "soft small" }, "Whoever runs this studio has given you one; flair token makes them."),
    fault,
    button));
  token.focus();
}
