from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from flair_ray.domain.answers import BallotForm, PersonalizedDraft, ScriptDraft, VideoAnalysis, ballot_form
from flair_ray.domain.calls import ChatRequest, Reask, Usage
from flair_ray.domain.ids import StageName, VideoId
from flair_ray.domain.people import CreatorProfile, Persona
from flair_ray.domain.scripts import CandidateScript, ScriptSlot
from flair_ray.domain.videos import Video
from flair_ray.domain.work import Placed, PollSheet, VoiceBrief, Voter, WritingBrief
from flair_ray.errors import BadRequest
from flair_ray.providers.offline import OFFLINE_MODEL, OfflineProvider

Chat = Callable[..., ChatRequest]


async def test_each_stage_gets_an_answer_that_fits(
    chat: Chat,
    profile: CreatorProfile,
    slots: Callable[[int, tuple[str, ...]], list[ScriptSlot]],
    brief: Callable[[CreatorProfile, int], WritingBrief],
    scripts: tuple[CandidateScript, ...],
    sheet: Callable[..., PollSheet],
    personas: tuple[Persona, ...],
) -> None:
    poll = sheet(scripts[:7])
    requests = [
        chat(StageName.S1, VideoAnalysis, None, Video(VideoId("v"), "Why is it blue? Because it is.")),
        chat(StageName.S3, ScriptDraft, brief(profile, 1), slots(1, profile.content_themes)[0]),
        chat(StageName.S4, ballot_form(tuple(sorted(poll.labels))), poll, Voter(personas[0], 0)),
        chat(StageName.S6, PersonalizedDraft, VoiceBrief(profile, 1), Placed(scripts[0], 1, 9.0)),
    ]
    provider = OfflineProvider(seed=1)
    for request in requests:
        done = await provider.complete(request, timeout_s=1.0)
        assert request.answer.model_validate_json(done.text)
        assert (done.usage, done.model) == (Usage(), OFFLINE_MODEL)
    await provider.close()


async def test_a_reask_is_answered_the_same(chat: Chat) -> None:
    first = chat(StageName.S1, VideoAnalysis, None, Video(VideoId("v"), "It rained. We stayed in."))
    again = ChatRequest(first.stage, "", "", "", VideoAnalysis, first.material, reask=Reask("{}", "not the schema"))
    provider = OfflineProvider()
    assert await provider.complete(first, 1.0) == await provider.complete(again, 1.0)


@pytest.mark.parametrize("stage", [StageName.S2, StageName.S5, StageName.S1, StageName.S4])
async def test_what_it_has_no_rules_for_is_a_bad_request(chat: Chat, stage: StageName) -> None:
    with pytest.raises(BadRequest, match="no rules for"):
        await OfflineProvider().complete(chat(stage, BallotForm, None, "what is this"), 1.0)


def test_it_says_what_it_is() -> None:
    assert OFFLINE_MODEL == "offline-heuristic"


def test_another_process_with_other_hashes_answers_the_same() -> None:
    code = (
        "from flair_ray.domain.people import *; from flair_ray.domain.patterns import *\n"
        "from flair_ray.domain.scripts import *; from flair_ray.domain.work import *\n"
        "from flair_ray.providers.offline.write import write_script\n"
        "from flair_ray.providers.offline.vote import vote\n"
        "from flair_ray.providers.offline.voice import personalize\n"
        "who = CreatorProfile('warm, dry', ('umami',), ('Eat.',), ('diet',), 'cooking', '', ('dinners', 'soup'))\n"
        "entry = PatternEntry('P01', HookType.STORY, Pacing.STACCATO, EmotionalArc.CURIOSITY_GAP, 1, None, 1.0,"
        " (Trigger.HUMOR,), (), ())\n"
        "made = [write_script(WritingBrief(who, PatternLibrary((), 1, None, None), 1),"
        " ScriptSlot(f'S{i}', entry, 'soup', 'myth'), 0) for i in range(6)]\n"
        "cs = tuple(CandidateScript(str(i), 'x', d.hook, d.body, d.payoff, 20.0, 'n') for i, d in enumerate(made))\n"
        "p = Persona('p', 'A', 30, 'x', 'x', ('cooking', 'travel'), 'saves recipes', 'curious', '')\n"
        "print(made, vote(PollSheet(cs, tuple('BCDFGH'), (), 1), Voter(p, 0), 0),"
        " personalize(VoiceBrief(who, 1), Placed(cs[0], 1, 1.0), 0))"
    )

    def run(hash_seed: str) -> str:
        env = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(p for p in sys.path if p)}
        return subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout

    assert run("1") == run("2") != ""
