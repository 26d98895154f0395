// Numbers as people say them.

export function duration(ms) {
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}

// An estimate, no finer than it is good.
export function about(ms) {
  const s = Math.ceil(ms / 1000);
  if (s < 60) return `${s < 10 ? s : Math.ceil(s / 5) * 5} s`;
  return s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}

export function usd(value) {
  if (value === null || value === undefined) return "price not known";
  return value === 0 ? "free" : `$${value < 1 ? value.toFixed(value < 0.01 ? 4 : 3) : value.toFixed(2)}`;
}

const rough = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
export function ago(ms, now) {
  const s = (ms - now) / 1000;
  const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60]].find(([, size]) => Math.abs(s) >= size) ?? ["second", 1];
  return unit === "second" ? "just now" : rough.format(Math.round(s / size), unit);
}
