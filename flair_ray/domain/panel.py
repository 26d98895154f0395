"""Which viewers vote when there are more of them than seats: a small panel with the pool's own mix.

Drawing at random may leave a panel of 42 without one patient viewer over 50. So the pool is split into
strata, age band × attention style, and each stratum gets its proportional share of the seats by largest
remainder (``domain/allocation.py``). Within a stratum, and between equal fractions, the order is that of a
hash over seed and persona.

Invariants: exactly min(n, pool) personas; each stratum within one seat of its exact share; the same choice
for the same seed, whatever order the pool comes in. The known flaw of the method: a panel of n + 1 need
not contain the panel of n.

Source: proportional allocation in W. G. Cochran, "Sampling Techniques", 3rd ed. (1977), chapter 5.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

from flair_ray.domain.allocation import largest_remainder
from flair_ray.domain.ids import digest
from flair_ray.domain.people import Persona
from flair_ray.errors import InputError

DEFAULT_PANEL = 42
"""Six balanced ballot orders over seven voters each."""

AGE_BANDS = ((25, "under 25"), (35, "25-34"), (50, "35-49"))
"""Upper bound (exclusive) and name of each band; whoever is older falls into ``OLDEST``."""
OLDEST = "50 and over"

Stratum = tuple[str, str]


def age_band(age: int) -> str:
    """One of four bands, wide enough that a hundred personas fill each."""
    return next((name for bound, name in AGE_BANDS if age < bound), OLDEST)


def attention(persona: Persona) -> str:
    """The first word of the attention style, in lower case: "impatient, swipes early" → "impatient"."""
    word = re.search(r"\w+", persona.attention_style.lower())
    return word.group() if word else ""


def stratum(persona: Persona) -> Stratum:
    """Age band and attention style."""
    return age_band(persona.age), attention(persona)


def default_panel(personas: Sequence[Persona], n: int = DEFAULT_PANEL, seed: int = 0) -> tuple[Persona, ...]:
    """A stratified choice of min(n, pool) personas, ordered by id. Raises InputError for n < 1."""
    if n < 1:
        raise InputError(f"A panel needs at least 1 persona, not {n}.")
    return _panel(tuple(personas), n, seed)


@lru_cache(maxsize=8)  # a service is asked for the same one again and again
def _panel(personas: tuple[Persona, ...], n: int, seed: int) -> tuple[Persona, ...]:
    strata: dict[Stratum, list[Persona]] = defaultdict(list)
    for persona in personas:
        strata[stratum(persona)].append(persona)
    groups = [strata[key] for key in sorted(strata, key=lambda key: digest(str(seed), *key))]
    seats = largest_remainder([len(members) for members in groups], min(n, len(personas)))
    chosen = (p for members, count in zip(groups, seats, strict=True) for p in _shuffled(members, seed)[:count])
    return tuple(sorted(chosen, key=lambda p: p.persona_id))


def _shuffled(members: Sequence[Persona], seed: int) -> list[Persona]:
    return sorted(members, key=lambda p: digest(str(seed), p.persona_id))
