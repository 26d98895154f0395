"""Room for reasoning beside the answer, by model: it counts against the output limit and is billed as output.

Apart from the adapters, because an estimate wants to know it without loading anybody's SDK.
"""

from __future__ import annotations

from flair_ray.domain.runs import ModelChoice


def thinking_tokens(model: ModelChoice) -> int:
    """What the adapter of this model adds to a request's output limit."""
    match model.provider:
        case "gemini":
            return 4096
        case "kimi":
            return 0 if model.model.startswith(("kimi-k2.5", "kimi-k2.6", "moonshot-v1")) else 8192
        case "openai" if not model.base_url:
            return 0 if model.model.startswith(("gpt-4", "gpt-3", "chatgpt-")) or "chat-latest" in model.model else 4096
        case _:
            return 0
