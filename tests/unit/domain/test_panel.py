"""The panel: exactly as many as asked, in the pool's own proportions, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flair_ray.data import sample_personas
from flair_ray.domain.ids import PersonaId
from flair_ray.domain.panel import DEFAULT_PANEL, age_band, attention, default_panel, stratum
from flair_ray.domain.people import Persona
from flair_ray.errors import InputError


def persona(number: int, age: int = 30, style: str = "curious") -> Persona:
    return Persona(PersonaId(f"v{number:04d}"), f"Viewer {number}", age, "", "", (), "", style, "")


people = st.tuples(st.integers(13, 90), st.sampled_from(["patient", "Impatient, skips", "curious", ""]))
pools = st.lists(people, min_size=1, max_size=60).map(
    lambda traits: [persona(i, age, style) for i, (age, style) in enumerate(traits)]
)


@given(pools, st.integers(1, 80), st.integers())
def test_exactly_n_members_of_the_pool_or_all_of_it(pool: list[Persona], n: int, seed: int) -> None:
    panel = default_panel(pool, n, seed)
    assert len(panel) == len({p.persona_id for p in panel}) == min(n, len(pool))
    assert set(panel) <= set(pool)


@given(pools, st.integers(1, 80), st.integers())
def test_each_stratum_is_within_one_seat_of_its_share(pool: list[Persona], n: int, seed: int) -> None:
    seats = Counter(map(stratum, default_panel(pool, n, seed)))
    for key, size in Counter(map(stratum, pool)).items():
        assert abs(seats[key] - min(n, len(pool)) * size / len(pool)) < 1


@given(pools, st.integers(1, 80), st.integers(), st.randoms(use_true_random=False))
def test_the_choice_depends_on_the_seed_and_not_on_the_order(
    pool: list[Persona], n: int, seed: int, rng: object
) -> None:
    shuffled = sorted(pool, key=lambda _: rng.random())  # type: ignore[attr-defined]  # random.Random
    assert default_panel(shuffled, n, seed) == default_panel(pool, n, seed)


def test_another_seed_seats_other_people() -> None:
    pool = sample_personas()
    assert default_panel(pool, seed=1) != default_panel(pool, seed=2)


def test_the_default_panel_mirrors_the_sample_pool() -> None:
    pool = sample_personas()
    panel = default_panel(pool)
    assert len(panel) == DEFAULT_PANEL == 42
    assert len({p.location.rpartition(", ")[2] for p in panel}) >= 25
    for trait in (lambda p: age_band(p.age), attention):
        seated, whole = Counter(map(trait, panel)), Counter(map(trait, pool))
        assert all(abs(seated[key] - 0.42 * count) < 3.5 for key, count in whole.items())


@pytest.mark.parametrize("n", [0, -3])
def test_a_panel_of_nobody_is_refused(n: int) -> None:
    with pytest.raises(InputError, match=f"at least 1 persona, not {n}"):
        default_panel(sample_personas(), n)


def test_an_empty_pool_seats_nobody() -> None:
    assert default_panel((), 42) == ()


def test_bands_and_styles_are_read_from_what_people_write() -> None:
    assert [age_band(a) for a in (16, 24, 25, 34, 35, 49, 50, 99)] == [
        "under 25", "under 25", "25-34", "25-34", "35-49", "35-49", "50 and over", "50 and over",
    ]  # fmt: skip
    assert attention(persona(1, style="  Impatient: swipes")) == "impatient"
    assert attention(persona(1, style="")) == ""
