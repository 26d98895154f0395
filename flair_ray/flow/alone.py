"""Who has the questions to itself: no claim is contested within one process that asks each once."""

from __future__ import annotations

from flair_ray.ports import Claim, Lead


class Alone:
    """Always leads."""

    owner = "alone"

    async def turn(self, claim: Claim) -> Lead:
        return Lead()

    async def leave(self, claim: Claim, *, landed: bool) -> None: ...

    async def close(self) -> None: ...
