from __future__ import annotations

from dataclasses import replace

from flair_ray.domain.answers import ScriptDraft
from flair_ray.domain.calls import ChatRequest, Reask
from flair_ray.domain.ids import StageName
from flair_ray.providers.conversation import turns

REQUEST = ChatRequest(StageName.S3, "You write.", "The library.", "The brief.", ScriptDraft, material=None)


def test_what_is_shared_comes_first_and_stays_the_same() -> None:
    texts = [turns(replace(REQUEST, varying=f"{i} varies"))[0].text for i in range(3)]
    assert all(text.startswith("The library.\n\n") and text.endswith("varies") for text in texts)


def test_a_reask_goes_on_from_the_question_and_shows_the_error() -> None:
    asked = turns(replace(REQUEST, reask=Reask('{"hook": 3}', "hook: not a string.")))
    assert asked[0] == turns(REQUEST)[0], "the prefix stays cached"
    assert (asked[1].role, asked[1].text) == ("assistant", '{"hook": 3}')
    assert asked[2].role == "user"
    assert "hook: not a string." in asked[2].text


def test_an_empty_answer_is_not_sent_back_empty() -> None:
    assert turns(replace(REQUEST, reask=Reask("", "There was none.")))[1].text
