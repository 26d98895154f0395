"""How long to wait before a retry: exponential with full jitter.

A uniform draw from 0 to the cap spreads clients that failed together; fixed steps would bring them back
together. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random

BASE_S = 0.5
CAP_S = 30.0
DOUBLINGS = 16
"""More would reach no further than the cap, and a float ends at 1,023."""


def full_jitter(failures: int, rng: random.Random, retry_after_s: float | None = None) -> float:
    """Seconds to wait after failure 1, 2, … in a row; never less than the server asked for.

    What a server asks for gets up to a quarter on top, or every client would return in the same instant. "Retry
    after 0" says nothing: taken at its word it would be a loop without a pause.
    """
    if retry_after_s:
        return retry_after_s * (1 + 0.25 * rng.random())
    return rng.uniform(0, min(CAP_S, BASE_S * 2 ** min(failures - 1, DOUBLINGS)))
