"""The studio's own material: sample videos, simulated viewers and creator profiles, so that a first run needs none.

Everything here is synthetic, and each file says so. The transcripts were written for this project: 120
short videos in 36 niches, none of them a real recording. Their numbers are draws from log-normal
distributions, a little higher for some mechanics than for others and much noisier than that difference;
some are missing, as they are in life. ``written_as`` in a record is what its writer meant the mechanics to
be, for measuring an analyzer against. Account names hold a hyphen, which the platform forbids, so that none
can be a real account. No persona stands for a real person.

videos.jsonl has flat records, the form in which people bring their own; personas.json and profiles.json
follow the fields of ``Persona`` and ``CreatorProfile``. All are read once per process and checked by
pydantic as they are read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from flair_ray.domain.codec import decode
from flair_ray.domain.people import CreatorProfile, Persona
from flair_ray.domain.videos import Engagement, Video


@dataclass(frozen=True, slots=True)
class SampleProfile:
    """A creator profile to start from, as a form offers it."""

    id: str
    label: str
    description: str
    profile: CreatorProfile


@dataclass(frozen=True, slots=True)
class _PersonaFile:
    personas: tuple[Persona, ...]


@cache
def sample_videos() -> tuple[Video, ...]:
    """The 120 sample videos, in file order, no two neighbours from one niche."""
    return tuple(_video(line, n) for n, line in enumerate(_read("videos.jsonl").splitlines(), start=1))


@cache
def sample_personas() -> tuple[Persona, ...]:
    """The pool of 100 personas; ``domain.panel.default_panel`` chooses the voters of a run from it."""
    return decode(_PersonaFile, _read("personas.json")).personas


@cache
def sample_profiles() -> tuple[SampleProfile, ...]:
    """The creator profiles. The first is the default of a run without one."""
    return decode(tuple[SampleProfile, ...], _read("profiles.json"))


def _video(line: bytes, number: int) -> Video:
    # One flat record holds the fields of both types; each takes its own and ignores the rest.
    video, counts = decode(Video, line), decode(Engagement, line)
    return replace(video, engagement=counts, source=f"sample videos.jsonl, line {number}")


def _read(name: str) -> bytes:
    return files(__name__).joinpath(name).read_bytes()
