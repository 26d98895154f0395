"""The prompts, as files: loaded once, versioned by what they say, fenced against what they quote.

A file has three parts, in the order in which they are sent: ``[system]``, ``[shared]`` (byte-identical for
every item of a stage or of an order block, so that providers can cache it) and ``[varying]``. Placeholders
are ``{field}``; a literal brace is doubled.

Whatever comes from outside (transcripts, profiles, scripts, personas) passes ``fence``: it stands between
tags that it cannot close, under a system prompt that says such text is material and never instruction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from flair_ray.domain.ids import digest

PARTS = ("system", "shared", "varying")
NAMES = ("s1", "s3", "s4", "refine_edit", "refine_compare", "s6")
AGAIN = "s3_again"
"""What is added to S3's varying part for a script that replaces one too close to another text."""
FEEDBACK_NAMES = ("s3_feedback", "s4_feedback")
"""What is added to a shared part once results of earlier runs are known. The text, filled in, is part of a run's spec
and of its fingerprint."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One stage's prompt, not yet filled in."""

    system: str
    shared: str
    varying: str

    @property
    def version(self) -> str:
        """Changes exactly when the text does."""
        return digest(self.system, self.shared, self.varying)


@cache
def prompt(name: str) -> Prompt:
    """The prompt in ``<name>.md``. Raises KeyError when the file lacks a part."""
    return _split(_text(name))


@cache
def feedback_prompt(name: str) -> str:
    """One of FEEDBACK_NAMES, or AGAIN, not yet filled in."""
    return _text(name).strip()


def joined(*parts: str) -> str:
    """The parts that say something, as paragraphs."""
    return "\n\n".join(part for part in parts if part)


def _text(name: str) -> str:
    return files(__package__).joinpath(f"{name}.md").read_text(encoding="utf-8")


def _split(text: str) -> Prompt:
    parts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.strip("[]") in PARTS and line.startswith("["):
            current = parts.setdefault(line.strip("[]"), [])
        else:
            current.append(line)
    return Prompt(*("\n".join(parts[part]).strip() for part in PARTS))


@cache
def prompts_version() -> str:
    """Of all prompts together: part of a run's fingerprint."""
    return digest(*(prompt(name).version for name in NAMES), feedback_prompt(AGAIN))


def fence(tag: str, text: str) -> str:
    """``text`` between ``<tag>`` and ``</tag>``, unable to open or close a tag itself."""
    return f"<{tag}>\n{text.replace('<', '‹').replace('>', '›')}\n</{tag}>"


def bullet_list(items: tuple[str, ...]) -> str:
    """One line per item, or a word that says there are none."""
    return "\n".join(f"- {item}" for item in items) or "(none given)"
