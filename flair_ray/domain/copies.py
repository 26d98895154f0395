"""Scripts that are nearly the same as one another, or as something that was said in a video.

A text is taken as the set of its runs of RUN letters, words run together: what two texts share is what one has copied,
in any language, wherever it stands in the longer one. Changing one word in nine leaves about half of the runs.

Exact sets and no sketches of them (MinHash), for they are small: 20 scripts against 100 transcripts take about 12 ms,
and time grows with the length of all texts. Edit distances grow with the pairs: a partial ratio takes 1 ms a pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flair_ray.domain.ids import ItemId, VideoId
from flair_ray.domain.quotes import plain_words

RUN = 12
"""Letters: about three words."""
SAME_SCRIPT = 0.5
"""Share of the shorter script's runs from which two are one script. Scripts of one run that are made on one plan share
up to .4 of theirs."""
SAME_WORDS = 0.3
"""Share of a script's runs that may not come from one video: its words are somebody's. By chance it is .02."""


def near_copies(scripts: Mapping[ItemId, str], transcripts: Iterable[tuple[VideoId, str]]) -> dict[ItemId, str]:
    """The scripts that say too much of what a video or an earlier script says, each with the reason.

    Of scripts that are like one another the first one stands.
    """
    runs = {name: _runs(text) for name, text in scripts.items()}
    found = _from_videos(runs, transcripts)
    kept: list[ItemId] = []
    for name, own in runs.items():
        if name in found:
            continue
        twin = next((other for other in kept if _shared(own, runs[other]) >= SAME_SCRIPT), None)
        if twin is None:
            kept.append(name)
        else:
            found[name] = f"Nearly the same as {twin}."
    return found


def said_in_videos(scripts: Mapping[ItemId, str], transcripts: Iterable[tuple[VideoId, str]]) -> dict[ItemId, str]:
    """The scripts that say too much of what a video says, each with the reason."""
    return _from_videos({name: _runs(text) for name, text in scripts.items()}, transcripts)


def _from_videos(
    runs: Mapping[ItemId, frozenset[str]], transcripts: Iterable[tuple[VideoId, str]]
) -> dict[ItemId, str]:
    every = frozenset().union(*runs.values())
    found: dict[ItemId, str] = {}
    for video_id, transcript in transcripts:
        said = every & _runs(transcript)
        for name, own in runs.items() if said else ():
            share = len(own & said) / len(own) if own else 0.0
            if share >= SAME_WORDS:
                found.setdefault(name, f"{share:.0%} of it is said in video {video_id}.")
    return found


def _runs(text: str) -> frozenset[str]:
    letters = plain_words(text).replace(" ", "")
    return frozenset(letters[i : i + RUN] for i in range(len(letters) - RUN + 1))


def _shared(one: frozenset[str], other: frozenset[str]) -> float:
    shorter = min(len(one), len(other))
    return len(one & other) / shorter if shorter else 0.0
