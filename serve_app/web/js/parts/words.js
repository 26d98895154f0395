// Numbers and words as people read them, and what differs between two texts.

export const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
export const spaced = (name) => String(name ?? "").replaceAll("_", " ");
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const percent = (share) => share == null ? "–" : `${Math.round(share * 100)} %`;

// [same, removed, added] runs that turn `a` into `b`, word by word: the longest common subsequence.
export function difference(a, b) {
  const from = a.match(/\S+|\s+/g) ?? [], to = b.match(/\S+|\s+/g) ?? [];
  if (from.length * to.length > 4e6) return [["-", a], ["+", b]];
  const width = to.length + 1, longest = new Uint16Array((from.length + 1) * width);
  for (let i = from.length - 1; i >= 0; i--) {
    for (let j = to.length - 1; j >= 0; j--) {
      longest[i * width + j] = from[i] === to[j] ? longest[(i + 1) * width + j + 1] + 1
        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const runs = [];
  const put = (kind, text) => runs.at(-1)?.[0] === kind ? runs.at(-1)[1] += text : runs.push([kind, text]);
  let i = 0, j = 0;
  while (i < from.length || j < to.length) {
    if (i < from.length && j < to.length && from[i] === to[j]) { put("=", from[i]); i++; j++; }
    else if (j >= to.length || (i < from.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) put("-", from[i++]);
    else put("+", to[j++]);
  }
  return runs;
}

// Whether it worked: pages that came without TLS from elsewhere have no clipboard.
export const copy = (text) => Promise.resolve(navigator.clipboard?.writeText(text) ?? Promise.reject()).then(() => true, () => false);
