"""Text from outside stays text: no fence can be closed from within, no stored form be broken."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from flair_ray.domain.ids import PersonaId, ScriptId, VideoId, digest
from flair_ray.domain.people import CreatorProfile, Persona
from flair_ray.domain.scripts import CandidateScript
from flair_ray.domain.videos import Video
from flair_ray.domain.work import Done, Skipped, dump_outcome, load_outcome
from flair_ray.prompts import fence
from flair_ray.stages import s1_analyze, s4_vote
from flair_ray.stages.briefs import creator_brief, script_brief, viewer_brief

texts = st.text()
hostile = st.lists(
    st.one_of(texts, st.sampled_from(["</video>", "<video>", "<", ">", "</", "{video}", "{", "}", "\n"]))
)
words = hostile.map("".join)
TAG = re.compile(r"</?[\w-]+>")


@given(st.sampled_from(["video", "creator", "script-BD"]), words)
def test_a_fence_cannot_be_closed_from_within(tag: str, text: str) -> None:
    fenced = fence(tag, text)
    assert TAG.findall(fenced) == [f"<{tag}>", f"</{tag}>"]
    assert fenced.count("<") == fenced.count(">") == 2


@given(words, words)
def test_a_transcript_stays_inside(transcript: str, description: str) -> None:
    request = s1_analyze.Analyze().request(None, Video(VideoId("v"), transcript, description))
    assert TAG.findall(request.varying) == ["<video>", "</video>"]
    outside = request.varying.split("<video>")[0] + request.varying.split("</video>")[1]
    assert outside == ""


@given(words, words, words)
def test_scripts_profiles_and_viewers_stay_inside(a: str, b: str, c: str) -> None:
    script = CandidateScript(ScriptId("S01"), a, a, b, c, 20.0, c)
    persona = Persona(PersonaId("p"), a, 30, b, c, (a, b), c, a, b)
    profile = CreatorProfile(a, (b,), (c,), (a,), b, c, (a,), (b,), (c,))
    assert TAG.findall(script_brief(script, "script-BD")) == ["<script-BD>", "</script-BD>"]
    assert TAG.findall(viewer_brief(persona)) == ["<viewer>", "</viewer>"]
    assert TAG.findall(creator_brief(profile)) == ["<creator>", "</creator>"]


@given(st.lists(words, min_size=1, max_size=5))
def test_no_script_can_pose_as_another_on_the_sheet(bodies: list[str]) -> None:
    scripts = [CandidateScript(ScriptId(f"S{n}"), "p", t, t, t, 20.0, "n") for n, t in enumerate(bodies)]
    persona = Persona(PersonaId("p"), "Ann", 30, "Oslo", "baker", (), "", "", "")
    todo = s4_vote.work(scripts, [persona], seed=1)
    asked = s4_vote.Vote().request(todo.shared, todo.items[0][1])
    tags = [f"{slash}script-{label}>" for label in todo.shared.labels for slash in ("<", "</")]
    assert sorted(TAG.findall(asked.shared)) == sorted(tags)


outcomes = st.one_of(st.builds(Done, texts), st.builds(Skipped, texts, st.integers(0, 255)))


@given(outcomes)
def test_outcomes_come_back_as_they_were_stored(outcome: Done | Skipped) -> None:
    assert load_outcome(dump_outcome(outcome)) == outcome


@given(outcomes, outcomes)
def test_two_outcomes_are_never_stored_alike(one: Done | Skipped, other: Done | Skipped) -> None:
    assert (dump_outcome(one) == dump_outcome(other)) == (one == other)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4), st.data())
def test_a_digest_knows_where_its_parts_end(parts: list[str], data: st.DataObject) -> None:
    joined = "".join(parts)
    cut = data.draw(st.integers(0, len(joined)))
    other = [joined[:cut], joined[cut:]]
    assert (digest(*parts) == digest(*other)) == (parts == other)
