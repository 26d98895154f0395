"""What people bring: videos, a creator's profile, personas. Read, checked and accounted for before a run starts."""

from __future__ import annotations

from flair_ray.inputs.personas import PersonaBody, read_personas
from flair_ray.inputs.profile import ProfileBody, parse_profile, read_profile
from flair_ray.inputs.report import Duplicate, Ingest, SkippedRecord
from flair_ray.inputs.videos import copy_videos, read_videos

__all__ = [
    "Duplicate",
    "Ingest",
    "PersonaBody",
    "ProfileBody",
    "SkippedRecord",
    "copy_videos",
    "parse_profile",
    "read_personas",
    "read_profile",
    "read_videos",
]
