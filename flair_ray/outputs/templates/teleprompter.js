"use strict";
// The text's first line starts at the marker and its last line reaches it after `seconds`, at speed 1.
const at = (id) => document.getElementById(id);
const stage = at("stage"), text = at("text");
const seconds = Number(document.body.dataset.seconds);
let running = false, speed = 1, scale = 1, position = 0, last = 0, lock = null;

const distance = () => stage.scrollHeight - stage.clientHeight;
const perMs = () => distance() / (seconds * 1000) * speed;

function show() {
  const left = distance() > 0 ? (1 - stage.scrollTop / distance()) * seconds / speed : 0;
  const whole = Math.max(0, Math.ceil(left - 0.05));
  at("clock").value = `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  at("speed").value = `${speed.toFixed(1)} ×`;
}

function step(now) {
  if (!running) return;
  position = Math.min(distance(), position + (now - last) * perMs());
  last = now;
  stage.scrollTop = position;
  show();
  if (position >= distance()) return toggle();
  requestAnimationFrame(step);
}

function toggle() {
  if (!running && stage.scrollTop >= distance() - 1) stage.scrollTop = 0;
  running = !running;
  position = stage.scrollTop;
  last = performance.now();
  document.body.classList.toggle("running", running);
  at("play").textContent = running ? "Pause" : "Start";
  at("play").setAttribute("aria-pressed", running);
  awake(running);
  if (running) requestAnimationFrame(step);
}

async function awake(wanted) {
  try {
    if (wanted) lock = await navigator.wakeLock.request("screen");
    else await lock?.release();
  } catch { /* a phone without wake lock, or one that refuses it, still scrolls */ }
}

function pace(change) { speed = Math.min(3, Math.max(0.3, speed + change)); show(); }

function size(factor) {
  const share = distance() > 0 ? stage.scrollTop / distance() : 0;
  scale = Math.min(2, Math.max(0.5, scale * factor));
  document.documentElement.style.setProperty("--scale", scale);
  stage.scrollTop = position = share * distance();
}

function mirror() {
  at("mirror").setAttribute("aria-pressed", document.body.classList.toggle("mirrored"));
}

function restart() { stage.scrollTop = position = 0; show(); }

const keys = { " ": toggle, ArrowUp: () => pace(0.1), ArrowDown: () => pace(-0.1), m: mirror, r: restart };
addEventListener("keydown", (event) => {
  const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.tagName === "BUTTON") return; // a focused button does its own thing
  event.preventDefault();
  action();
});
stage.addEventListener("scroll", () => { if (Math.abs(stage.scrollTop - position) > 4) position = stage.scrollTop; show(); });
stage.addEventListener("click", toggle);
for (const [id, action] of Object.entries({
  play: toggle, slower: () => pace(-0.1), faster: () => pace(0.1), smaller: () => size(1 / 1.12),
  larger: () => size(1.12), mirror, restart,
})) at(id).addEventListener("click", (event) => {
  action();
  if (event.detail) event.currentTarget.blur(); // after a tap or click, Space starts and pauses again
});
addEventListener("resize", show);
show();
