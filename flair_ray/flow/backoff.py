"""How long to wait before a retry: exponential with full jitter.

A uniform draw from 0 to the cap spreads clients that failed together; fixed steps would bring them back
together. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random

BASE_S = 0.5
CAP_S = 30.0


def full_jitter(attempt: int, rng: random.Random, retry_after_s: float | None = None) -> float:
    """Seconds to wait after failed attempt 1, 2, …; never less than the server asked for.

    What a server asks for gets up to a quarter on top, or every client would return in the same instant.
    """
    if retry_after_s is not None:
        return retry_after_s * (1 + 0.25 * rng.random())
    return rng.uniform(0, min(CAP_S, BASE_S * 2 ** (attempt - 1)))
