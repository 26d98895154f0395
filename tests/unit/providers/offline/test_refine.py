from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from flair_ray.domain.answers import ChoiceForm, EditDraft, VerdictForm, comparison_form
from flair_ray.domain.calls import ChatRequest
from flair_ray.domain.ids import StageName
from flair_ray.domain.people import CreatorProfile, Persona
from flair_ray.domain.refining import edited
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.work import Comparer, ComparisonSheet, EditBrief, Request
from flair_ray.providers.offline import OfflineProvider
from flair_ray.providers.offline.refine import compare, propose

Chat = Callable[..., ChatRequest]


def test_what_it_proposes_is_an_edit_of_that_script(
    profile: CreatorProfile, scripts: tuple[CandidateScript, ...], personas: tuple[Persona, ...]
) -> None:
    brief, asks = EditBrief(profile, 5, 7), set()
    for script in scripts[:12]:
        for persona in personas[:8]:
            draft = propose(brief, Request(persona, script, None), 0)
            _, now = edited(script, draft.passage, draft.instead)
            assert now.text != script.text
            assert draft == propose(brief, Request(persona, script, None), 0)
            asks.add(draft.reason)
    assert len(asks) > 3


def test_it_proposes_no_topic_to_avoid(
    profile: CreatorProfile, scripts: tuple[CandidateScript, ...], personas: tuple[Persona, ...]
) -> None:
    told = EditBrief(replace(profile, topics_to_avoid=("try it once", "last line")), 5, 7)
    for persona in personas:
        draft = propose(told, Request(persona, scripts[0], None), 0)
        assert "Try it once" not in draft.instead
        assert "last line" not in draft.instead


@settings(max_examples=60)
@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_any_text_gets_a_valid_answer(hook: str, body: str, payoff: str) -> None:
    script = CandidateScript("S01", "x", hook, body, payoff, 20.0, "")  # type: ignore[arg-type]
    persona = Persona("p", "A", 30, "x", "x", ("cooking",), "saves recipes", "curious", "")  # type: ignore[arg-type]
    draft = propose(EditBrief(CreatorProfile("", (), (), ("diet",)), 5, 7), Request(persona, script, None), 0)
    assert EditDraft.model_validate_json(draft.model_dump_json()) == draft


async def test_places_and_labels_play_no_part(
    chat: Chat, scripts: tuple[CandidateScript, ...], personas: tuple[Persona, ...]
) -> None:
    sheet = ComparisonSheet((scripts[:2], scripts[2:4]), (("BD", "FG"), ("HJ", "KL")), 7)
    for persona in personas[:6]:
        picked = []
        for order in (0, 1):
            answer = compare(StageName.R3, sheet, Comparer(persona, order), 0).model_dump()
            shown = zip(answer.values(), sheet.labels, sheet.shown(order), strict=True)
            picked.append([places[labels.index(label)] for label, labels, places in shown])
        assert picked[0] == picked[1]
    for stage, base in ((StageName.R2, ChoiceForm), (StageName.R3, VerdictForm)):
        form = comparison_form(base, sheet.labels)
        done = await OfflineProvider().complete(chat(stage, form, sheet, Comparer(personas[0], 0)), 1.0)
        assert form.model_validate_json(done.text)
