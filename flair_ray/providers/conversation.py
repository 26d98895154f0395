"""How a request is laid out as a conversation, the same for every model.

What is shared stands first and is byte-identical from call to call, what varies stands last, so that providers can
cache the prefix. A re-ask goes on from there: the answer that was of no use, and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flair_ray.domain.calls import ChatRequest


@dataclass(frozen=True, slots=True)
class Turn:
    """Something said after the system prompt."""

    role: Literal["user", "assistant"]
    text: str


def turns(request: ChatRequest) -> list[Turn]:
    """One turn, or three of a re-ask."""
    question = Turn("user", f"{request.shared}\n\n{request.varying}")
    if request.reask is None:
        return [question]
    answer = Turn("assistant", request.reask.answer or "(no answer)")
    return [question, answer, Turn("user", f"That cannot be used. {request.reask.reason} Answer again.")]
