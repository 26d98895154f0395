from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from flair_ray.domain.answers import BallotForm, ballot_form
from flair_ray.domain.ids import PersonaId, ScriptId
from flair_ray.domain.people import Persona
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.work import PollSheet, Voter
from flair_ray.providers.offline.vote import vote

Sheet = Callable[..., PollSheet]


def winners(sheet: PollSheet, personas: tuple[Persona, ...]) -> list[str]:
    return [sheet.scripts[sheet.labels.index(vote(sheet, Voter(p, 0), 0).top[0])].script_id for p in personas]


def made(script_id: str, hook: str, body: str, payoff: str) -> CandidateScript:
    return CandidateScript(ScriptId(script_id), "x", hook, body, payoff, 20.0, "n")


def test_a_ballot_ranks_exactly_k_of_any_number(
    scripts: tuple[CandidateScript, ...], sheet: Sheet, personas: tuple[Persona, ...]
) -> None:
    for count in range(1, 26):
        poll = sheet(scripts[:count])
        ballot = vote(poll, Voter(personas[count % 24], 0), 0)
        form = ballot_form(tuple(sorted(poll.labels))).model_validate_json(ballot.model_dump_json())
        assert len(set(form.top)) == len(form.top) == min(5, count)


def test_viewers_differ_but_not_at_random(
    scripts: tuple[CandidateScript, ...], sheet: Sheet, personas: tuple[Persona, ...]
) -> None:
    first = Counter(winners(sheet(scripts[:20]), personas))
    assert len(first) >= 4
    assert first.most_common(1)[0][1] >= 4  # 24 voters over 20 scripts by chance: rarely above 4
    ballots = {tuple(vote(sheet(scripts[:20]), Voter(p, 0), 0).top) for p in personas}
    assert len(ballots) >= 20


def test_neither_labels_nor_order_matter(
    scripts: tuple[CandidateScript, ...], sheet: Sheet, personas: tuple[Persona, ...]
) -> None:
    straight = sheet(scripts[:12])
    turned = sheet(tuple(reversed(scripts[:12])), tuple(reversed(range(12))))
    for persona in personas[:8]:
        a, b = (vote(poll, Voter(persona, 0), 0).top for poll in (straight, turned))
        assert [straight.scripts[straight.labels.index(x)] for x in a] == [
            turned.scripts[turned.labels.index(x)] for x in b
        ]


def test_a_good_script_beats_a_poor_one(sheet: Sheet, personas: tuple[Persona, ...]) -> None:
    good = made(
        "good",
        "Why is your pan always sticky?",
        "Here's why. You start cold. Wait for it. One drop of water on the hot pan. It dances? Now the onions go in.",
        "That is the crust, golden and crisp, and it finally lets go by itself. Try it with one onion and see.",
    )
    poor = made(
        "poor",
        "In this video I would like to talk a little bit about some of the many things that one could say on this",
        "There are many things and all of them are things that are good in some ways and in other ways they are also",
        "Okay.",
    )
    votes = Counter(winners(sheet((poor, good)), personas))
    assert votes["good"] > 0.75 * len(personas)


def test_attention_and_interests_pull(sheet: Sheet) -> None:
    """Whims are averaged away over many viewers of one kind."""
    punchy = made("punchy", "Stop.", "Cold pan. Wrong. Heat it. Wait. Now cook. Done.", "Crisp onions. Every time.")
    story = made(
        "story",
        "When I was nine my grandmother let me hold the big wooden spoon for the first time in her kitchen.",
        "I was so proud that I stirred until my arm hurt, and we talked about her village while the onions went soft.",
        "I still have the spoon, and I still stir too long, and my kitchen smells of hers every Sunday evening.",
    )

    def many(style: str, age: int) -> tuple[Persona, ...]:
        return tuple(Persona(PersonaId(f"{style}{i}"), "A", age, "x", "x", (), "", style, "") for i in range(40))

    hasty, calm = (
        Counter(winners(sheet((punchy, story)), many(s, a))) for s, a in (("impatient", 20), ("patient", 60))
    )
    assert hasty["punchy"] > calm["punchy"] + 8

    code = made("code", "Read the error message.", "The bug is in the code. Debug the software.", "The code works.")
    food = made("food", "Read the whole recipe.", "The onions are in the pan. Cook the dinner.", "The dinner works.")
    fans = tuple(Persona(PersonaId(f"c{i}"), "A", 30, "x", "x", ("coding",), "", "", "") for i in range(40))
    cooks = tuple(replace(p, interests=("cooking",)) for p in fans)
    coders, eaters = (Counter(winners(sheet((code, food)), panel)) for panel in (fans, cooks))
    assert coders["code"] > eaters["code"] + 8


def test_the_reaction_quotes_the_favourite(
    scripts: tuple[CandidateScript, ...], sheet: Sheet, personas: tuple[Persona, ...]
) -> None:
    poll = sheet(scripts[:20])
    for persona in personas:
        ballot = vote(poll, Voter(persona, 0), 0)
        quote = ballot.reaction.split("“")[1].split("”")[0].rstrip("…")
        assert quote in poll.scripts[poll.labels.index(ballot.top[0])].hook


def test_the_same_ballot_every_time(
    scripts: tuple[CandidateScript, ...], sheet: Sheet, personas: tuple[Persona, ...]
) -> None:
    poll = sheet(scripts[:20])
    assert vote(poll, Voter(personas[0], 0), 0) == vote(poll, Voter(personas[0], 0), 0)
    assert [vote(poll, Voter(p, 0), 0).top for p in personas] != [vote(poll, Voter(p, 0), 5).top for p in personas]


@settings(max_examples=60)
@given(st.lists(st.text(min_size=0, max_size=80), min_size=1, max_size=8), st.text(max_size=40), st.integers(-5, 200))
def test_any_texts_and_any_persona_give_a_valid_ballot(sheet: Sheet, texts: list[str], said: str, age: int) -> None:
    poll = sheet(tuple(made(str(i), t, t[::-1], t) for i, t in enumerate(texts)))
    persona = Persona(PersonaId(said), said, age, said, said, (said,), said, said, said)
    ballot = vote(poll, Voter(persona, 0), 0)
    assert isinstance(ballot_form(tuple(sorted(poll.labels))).model_validate_json(ballot.model_dump_json()), BallotForm)
    assert len(set(ballot.top)) == min(5, len(texts))
