// The HTTP API, as pages use it. Answers are JSON or null; refusals are thrown as a Problem.

export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || (status ? `The studio answered with ${status}.` : "The studio does not answer. Is it running?"));
    this.status = status; // 0: nobody answered
    this.detail = this.message;
    this.errors = body?.errors ?? [];
  }
}

const WITH_SESSION = ["/api/pipeline/start", "/api/pipeline/run", "/api/estimate", "/api/runs"];
const memory = {};
let skewMs = 0;

// What this browser remembers; where it may remember nothing, until the page is left.
export function remembered(key, value) {
  try {
    if (value !== undefined) localStorage.setItem(`flair:${key}`, value);
    return localStorage.getItem(`flair:${key}`);
  } catch {
    if (value !== undefined) memory[key] = value;
    return memory[key] ?? null;
  }
}

export const sessionId = () => remembered("session") ?? remembered("session", newId());

// Milliseconds since the epoch by the server's clock, to a second.
export const serverNow = () => Date.now() - skewMs;

export const get = (path, options) => call("GET", path, options);
export const del = (path) => call("DELETE", path);
export const upload = (path, form) => call("POST", path, { body: form });
export const post = (path, body, { headers = {}, ...options } = {}) =>
  call("POST", path, {
    ...options,
    headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });

async function call(method, path, { headers = {}, ...options } = {}) {
  const forged = method === "GET" ? {} : { "X-Flair": "1" }; // no form of another page can send it
  let answer;
  try {
    answer = await fetch(addressed(path), { method, headers: { ...forged, ...headers }, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0);
  }
  const at = Date.parse(answer.headers.get("date"));
  if (at) skewMs = Date.now() - at;
  const body = answer.status === 204 ? null : await answer.json().catch(() => {});
  // A 404 without a word of ours is Ray Serve's, before the studio is up behind it.
  if (!answer.ok) throw new Problem(answer.status === 404 && !body ? 0 : answer.status, body);
  if (body === undefined) throw new Problem(0); // cut off within it
  return body;
}

function addressed(path) {
  if (!WITH_SESSION.includes(path)) return path;
  return `${path}?${new URLSearchParams({ session_id: sessionId() })}`;
}

// crypto.randomUUID is there for secure pages only, and loopback over http by another name is none.
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
