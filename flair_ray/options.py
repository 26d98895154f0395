"""What a run may be asked for, said once: the library's options and, where a text describes one, the command line's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from flair_ray.domain.money import Price
from flair_ray.domain.people import CreatorProfile, Persona
from flair_ray.domain.rigor import Rigor
from flair_ray.domain.videos import Video


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Every field has a default that works; videos, profile and personas may be a file or what would be in it."""

    videos: Annotated[
        str | Path | Sequence[Video] | None,
        "A yt-dlp folder, CSV, JSON, JSONL, Parquet, or transcripts (.txt, .srt, .vtt). "
        "Default: the synthetic sample library.",
    ] = None
    profile: Annotated[
        str | Path | CreatorProfile | None, "A creator profile (JSON). Default: the first sample profile."
    ] = None
    own_videos: Annotated[
        str | Path | Sequence[Video] | None,
        "Videos of the creator's own, in the forms of --videos: what they said in the first five shows how they sound.",
    ] = None
    personas: Annotated[
        str | Path | Sequence[Persona] | None,
        "A panel of your own (JSON or CSV). Default: 100 synthetic viewers to choose from.",
    ] = None
    provider: Annotated[
        str | None,
        "Who answers: kimi, openai, gemini, local, offline. Default: the first whose key is set, else offline.",
    ] = None
    model: Annotated[str | None, "The provider's model."] = None
    base_url: Annotated[str | None, "An OpenAI-compatible server: vLLM, Ollama, llama.cpp, a gateway."] = None
    voter_model: Annotated[
        str | None, "Who votes: PROVIDER, PROVIDER:MODEL, or another MODEL of the provider. Default: who writes."
    ] = None
    rigor: Annotated[str, "careful: a third of the viewers is asked twice, and two scripts are there to test them."] = (
        Rigor.STANDARD
    )
    refine: Annotated[
        bool,
        "Viewers who ranked the best scripts lowest propose edits, and the panel judges them.",
    ] = False
    num_videos: Annotated[int, "Videos to analyze."] = 100
    num_scripts: Annotated[int, "Scripts to write."] = 20
    num_personas: Annotated[int, "Simulated viewers who vote."] = 42
    top_n: Annotated[int, "Best scripts to personalise."] = 10
    max_in_flight: Annotated[
        int | None, "Model calls at once that the account stands. Default: found while calling."
    ] = None
    rpm: Annotated[int | None, "Requests a minute that the account stands."] = None
    tpm: Annotated[int | None, "Tokens a minute that the account stands."] = None
    max_usd: Annotated[float | None, "Stop cleanly before the run costs more, in dollars."] = None
    price: Annotated[str | Price | None, "IN/OUT or IN/CACHED/OUT, dollars per million tokens, e.g. 0.95/0.16/4."] = (
        None
    )
    cache: Annotated[bool, "Share the analysis of a video with earlier and later runs."] = True
    seed: Annotated[int, "Same seed, same choices: themes, orders, labels, the offline provider."] = 7
    out_dir: str | Path | None = None
    """Where to write; None: the run's folder under the data directory."""
    address: str | None = None
    """A Ray cluster to join; None: that of RAY_ADDRESS, else a local one that lives as long as the run."""
    run_id: str | None = None
    """An id of one's own, a-z, 0-9, _ and -. A run that has it already, from the same order, is gone on with or, where
    it is complete, given again: nothing is paid twice. None: a new run under a random id."""
