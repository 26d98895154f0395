"""What pref-voting says of the same ballots: recorded, for it brings 780 MB that only this comparison would need.

    python -m venv DIR && DIR/bin/pip install pref-voting==1.18.2
    DIR/bin/python experiments/voting/reference.py > tests/unit/domain/voting/pref_voting.json

Half of the elections have five scripts, where ballots are whole orders and Kemeny's can be enumerated, half have eight.
"""

from __future__ import annotations

import json
import random

from pref_voting.other_methods import kemeny_young_rankings
from pref_voting.profiles import Profile
from pref_voting.profiles_with_ties import ProfileWithTies
from pref_voting.scoring_methods import symmetric_borda_scores

ELECTIONS, VOTERS, LISTED = 40, (3, 6, 9, 12, 15), 5


def election(seed: int) -> dict[str, object]:
    rng = random.Random(seed)
    scripts, voters = 5 if seed % 2 else 8, rng.choice(VOTERS)
    liking = [rng.gauss(0, 0.4) for _ in range(scripts)]
    own = [[like + rng.gauss(0, 1) for like in liking] for _ in range(voters)]
    ballots = [sorted(range(scripts), key=lambda i, likes=likes: -likes[i])[:LISTED] for likes in own]
    ranked = [{script: place for place, script in enumerate(ballot, start=1)} for ballot in ballots]
    profile = ProfileWithTies(ranked, candidates=list(range(scripts)))
    profile.use_extended_strict_preference()  # a listed script is above every unlisted one
    borda, copeland = symmetric_borda_scores(profile), profile.copeland_scores()
    found: dict[str, object] = {
        "ballots": ballots,
        "borda": [int(borda[i]) for i in range(scripts)],
        "copeland": [float(copeland[i]) for i in range(scripts)],
    }
    if scripts == LISTED:
        orders, distance = kemeny_young_rankings(Profile(ballots))
        found |= {"kemeny": [[int(i) for i in order] for order in orders], "distance": int(distance)}
    return found


if __name__ == "__main__":
    print("[\n" + ",\n".join(json.dumps(election(seed)) for seed in range(ELECTIONS)) + "\n]")
