"""How many tokens a text is, near enough to plan by, without anybody's tokenizer.

Vendors count differently and their tables are downloads. Four bytes of UTF-8 a token is what the current vocabularies
come to for English prose; for other scripts it errs both ways (Cyrillic is over-counted, emoji under-counted). What a
call took in the end is read from the vendor's own usage.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from flair_ray.domain.calls import ChatRequest
from flair_ray.domain.schema import SchemaDialect, answer_schema

if TYPE_CHECKING:
    from pydantic import BaseModel

BYTES_PER_TOKEN = 4


def estimated_tokens(text: str) -> int:
    """Tokens of ``text``, rounded up."""
    return -(-len(text.encode(errors="replace")) // BYTES_PER_TOKEN)


def request_tokens(request: ChatRequest) -> int:
    """Tokens of one call's input: the prompt, the schema that is sent of its answer, and what a re-ask adds."""
    parts = [request.system, request.shared, request.varying]
    if request.reask:
        parts += [request.reask.answer, request.reask.reason]
    return sum(map(estimated_tokens, parts)) + _schema_tokens(request.answer)


@lru_cache(maxsize=128)
def _schema_tokens(answer: type[BaseModel]) -> int:
    return estimated_tokens(json.dumps(answer_schema(answer, SchemaDialect()), separators=(",", ":")))
