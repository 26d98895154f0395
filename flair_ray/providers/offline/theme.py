"""Making the words of a profile fit into sentences: themes as noun phrases, the audience, the creator's own labels.

Profiles say "Honest product reviews", "how to save money" or "#mealprep"; a sentence needs "product" or
"saving …" with a verb that agrees. These are rules of thumb for English; text in another script passes as it is.
"""

from __future__ import annotations

import re
from functools import cache

from flair_ray.domain.people import CreatorProfile
from flair_ray.providers.offline.fields import names_of
from flair_ray.providers.offline.text import capital, clean, clip, table

_ASIDE = re.compile(r"\([^)]*\)|[#*_{}<>\[\]|\"“”]")
_LEADING = re.compile(r"^(?:(?:honest|quick|debunking|busting|about)\s+)+", re.IGNORECASE)
_FIRST_PERSON = re.compile(r"\s+(?:(?:that|which|who)\b.*\b(?:I|my|me)\b|I\b).*$")
_FORMAT = re.compile(
    r"(?:\s+(?:tips|hacks|tricks|advice|tutorials?|stories|explain(?:ers|ed)|myths|ideas|guides?|videos|content|101))+$",
    re.IGNORECASE,
)
_AFTER_HEAD = re.compile(
    r"\s(?:for|of|on|in|with|to|without|at|from|by|under|into|about|as|worth|that|who|nobody|versus|one)\s"
)
_LABEL = re.compile(r"^([^:.?!]{3,24}):\s+\S")


@cache
def _grammar(kind: str) -> frozenset[str]:
    return frozenset(table("listen")["grammar"][kind].split())


def subject(theme: str, profile: CreatorProfile) -> str:
    """The theme as a noun phrase for the middle of a sentence; a general one when nothing is known."""
    known = bool(profile.content_themes or profile.niche)
    text = clean(_ASIDE.sub(" ", theme)) if known else ""
    text = re.split(r"\s*[,;:/.!?—]\s*|\s+-\s+", text)[0]
    text = _FIRST_PERSON.sub("", text)
    text = _FORMAT.sub("", _LEADING.sub("", text)).strip() or text
    text = clip(text, 7, 60)
    if not text:
        return "learning something new"
    first = text.split()[0].lower()
    if (
        _is_capitalized(text.split()[0])
        and first not in _grammar("names")
        and (names_of(text) or _capitalizes(profile))
    ):
        text = text[0].lower() + text[1:]
    return f"figuring out {text[0].lower() + text[1:]}" if first in _grammar("questions") else text


def _is_capitalized(word: str) -> bool:
    return word[:1].isupper() and word[1:] == word[1:].lower() and len(word) > 1


def _capitalizes(profile: CreatorProfile) -> bool:
    """Whether this profile starts every theme with a capital: then it means nothing."""
    return all(t[:1] == t[:1].upper() for t in profile.content_themes)


def _is_plural(phrase: str) -> bool:
    head = _AFTER_HEAD.split(phrase.lower())[0]
    last = head.split()[-1] if head.split() else ""
    if head.split()[:1] and head.split()[0].endswith("ing") and len(head.split()) > 1 and " and " not in head:
        return False  # "figuring out …", "cooking for …": a gerund leads
    if " and " in head or " & " in head or last in _grammar("plurals"):
        return True
    return last.endswith("s") and not last.endswith(("ss", "us", "is", "ics"))


def agreement(theme: str) -> dict[str, str]:
    """The words around a theme that depend on its number."""
    return dict(table("listen")["grammar"]["plural" if _is_plural(theme) else "singular"])


def audience(profile: CreatorProfile) -> str:
    """Whom to call by name, e.g. "busy parents"; "" when the description does not begin with a plural."""
    text = clean(_ASIDE.sub(" ", profile.audience_description))
    head = re.split(
        r"[,;:.!?—–(]|\s(?:who|that|aged|ages|between|looking|trying|wanting|of \d+|and their)\s|\s-\s", text
    )[0].strip()
    if (
        not head
        or head.lower() in _grammar("vague")
        or len(head.split()) > 5
        or not _is_plural(head)
        or re.search(r"\d", head)
    ):
        return ""
    first = head.split()[0]
    return head if first.lower() in _grammar("names") or not _is_capitalized(first) else head[0].lower() + head[1:]


def with_own_label(hook: str, profile: CreatorProfile, turn: int) -> str:
    """Every second time, the hook under a label that the creator's own hooks begin with: "Hot take: …"."""
    labels = [m[1] for h in profile.example_hooks if (m := _LABEL.match(clean(h))) and len(m[1].split()) <= 3]
    labels = [label for label in labels if label.lower() != "pov"]
    if not labels or turn % 2 or ":" in hook:
        return hook
    start = hook if hook.split(maxsplit=1)[0] in ("I", "I'm") else hook[0].lower() + hook[1:]
    return f"{capital(labels[turn // 2 % len(labels)])}: {start}"
