"""Nothing equal is made twice: what a second job takes over, what a remake makes, what the plan says before."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from sqlalchemy import select

from db.assets import Film, Rendition
from db.work import Attempt, JobState
from services.films import film_shots
from tests.e2e.conftest import Studio, open_studio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SCRIPT = """# Looking up

## Night

[image: samples:hubble_deep_field]
[prompt: stars]
We look up.

[image: samples:rocket]
[prompt: a rocket]
[duration: 4]
Then we built a ladder.

[search: camera]
[prompt: a camera]
We took pictures.
"""
FILMS_SECONDS = 200.0
"""How long a film may take beside the three others that are asked for with it."""
MUSIC = {"from": "samples", "id": "ambient-wonder"}
JOINS = {
    "mix_sound",
    "compose",
    "close",
    "export poster",
    "export srt",
    "export vtt",
    "export manifest",
}


def name(step):
    return f"{step.kind} {step.label or step.variant}".strip()


class Film3:
    """A film of three shots in a studio of its own, finished."""

    def __init__(self, studio: Studio, **more) -> None:
        self.studio = studio
        self.id = studio.film(SCRIPT, music=MUSIC, **more)

    def done(self):
        return self.studio.state_of(self.id, "succeeded", seconds=FILMS_SECONDS)

    def attempts(self):
        return {name(s): s.attempt for s in self.studio.steps(self.id)}

    def shots(self):
        with self.studio.rows() as session:
            return film_shots(session, self.studio.job(self.id).film_id)

    def master(self):
        with self.studio.rows() as session:
            film = session.get_one(Film, self.studio.job(self.id).film_id)
            return session.get_one(Rendition, film.master_rendition_id).blob_sha256

    def plan(self):
        return self.studio.get(f"/jobs/{self.id}/plan")

    def stale(self):
        return {line["step"]: line["why"] for line in self.plan()["items"] if line["state"] == "stale"}

    def patch_shot(self, number, **changes):
        shot = self.shots()[number - 1]
        self.studio.change(f"/shots/{shot.id}", changes)

    def remake(self):
        """Remake and wait; returns the names of the steps that did any work."""
        before = self.attempts()
        answer = self.studio.post(f"/jobs/{self.id}/remake")
        assert answer.status_code == 202, answer.text
        self.studio.state_of(self.id, "running", "succeeded")
        self.done()
        tried = {n for n, attempt in self.attempts().items() if attempt != before.get(n)}
        kept = {name(s) for s in self.studio.steps(self.id) if s.reused_from is not None}
        return tried - kept


@pytest.fixture(scope="module")
def films(running_stack):
    """Films asked for at once, each in a studio of its own; a test changes its own."""
    with ExitStack() as open_ones:
        names = ("first", "words", "script", "look")
        yield {name: Film3(open_ones.enter_context(open_studio(running_stack))) for name in names}


def test_the_same_brief_again_takes_over_every_step_and_works_at_none(films):
    first = films["first"]
    first.done()
    again = Film3(first.studio)
    again.done()
    steps = first.studio.steps(again.id)
    assert {name(s) for s in steps if s.reused_from is None} == {"close"}  # it writes the job's own row
    with first.studio.rows() as session:
        figures = session.scalars(
            select(Attempt.figures).where(Attempt.step_id.in_([s.id for s in steps]))
        ).all()
    assert figures == [{}] * len(steps)  # nothing searched, fetched, spoken, rendered, probed or stored
    assert again.master() == first.master()
    assert sum(s.seconds for s in steps) < sum(s.seconds for s in first.studio.steps(first.id)) / 4


def test_a_finished_film_is_current_and_there_is_nothing_to_remake(films):
    film = films["first"]
    film.done()
    plan = film.plan()
    assert plan["counts"] == {"missing": 0, "stale": 0, "blocked": 0, "current": len(film.attempts())}
    answer = film.studio.post(f"/jobs/{film.id}/remake")
    assert answer.status_code == 409
    assert "nothing to remake" in answer.json()["detail"]


def test_other_words_in_one_shot_remake_its_narration_its_segment_and_the_joins(films):
    """The shot is pinned to four seconds, so even its take stays."""
    film = films["words"]
    film.done()
    before = film.master()
    film.patch_shot(2, narration="Then we built a tall one.")
    why = ["shot 2: narration changed"]
    stale = film.stale()
    assert stale["narrate shot 2"] == stale["render_segment shot 2"] == stale["compose"] == why
    assert film.master() == before  # stale work stays in use until somebody asks
    assert film.studio.job(film.id).state is JobState.SUCCEEDED
    assert film.remake() == {"narrate shot 2", "render_segment shot 2", *JOINS}
    assert film.stale() == {}
    assert film.plan()["counts"]["current"] == len(film.attempts())
    assert film.master() != before
    film.patch_shot(1, narration="We look up, and up, and ever further up, all night long.")
    assert film.remake() == {
        "narrate shot 1",
        "submit_take shot 1",
        "clean_take shot 1",
        "render_segment shot 1",
        *JOINS,
    }


def test_a_newer_script_version_makes_stale_what_it_says_otherwise_and_adds_what_it_adds(films):
    film = films["script"]
    film.done()
    with film.studio.rows() as session:
        script = session.get_one(Film, film.studio.job(film.id).film_id).script_id
    text = (
        SCRIPT.replace("We took pictures.", "We took many pictures.")
        + "\n[image: samples:coffee]\nAnd rested.\n"
    )
    seen = film.studio.http.get(f"{film.studio.base}/scripts/{script}")
    answer = film.studio.post(
        f"/scripts/{script}/versions", {"text": text}, headers={"If-Match": seen.headers["ETag"]}
    )
    assert answer.status_code == 201, answer.text
    stale = film.stale()
    assert stale["break_down"] == ["script: text changed"]
    assert stale["narrate shot 3"] == ["shot 3: narration changed"]
    assert "narrate shot 1" not in stale
    assert stale["rank"] == ["script: 1 shot is new"]
    made = film.remake()
    assert {n for n in made if n.endswith(("shot 1", "shot 2"))} == set()
    assert {"break_down", "narrate shot 3", "narrate shot 4", "render_segment shot 4", "credits_card"} <= made
    assert [shot.narration for shot in film.shots()][2:] == ["We took many pictures.", "And rested."]
    assert film.stale() == {}


def test_another_look_or_voice_is_the_films_and_makes_stale_what_shows_or_speaks_it(films):
    film = films["look"]
    film.done()
    path = f"/films/{film.studio.job(film.id).film_id}"
    film.studio.change(path, {"voice": "en-us"})
    stale = film.stale()
    assert {n for n in stale if n.startswith("narrate")} == {f"narrate shot {n}" for n in (1, 2, 3)}
    assert all(why == ["film: voice changed"] for why in stale.values())
    assert not {n for n in stale if n.startswith(("find_stock", "credits_card", "export credits"))}
    film.studio.change(path, {"voice": None, "caption_style": "plain"})
    stale = film.stale()
    assert not {n for n in stale if n.startswith(("narrate", "submit_take"))}
    assert stale["render_segment shot 2"] == ["film: captions changed"]
    film.studio.change(path, {"caption_style": "karaoke", "format": "1:1"})
    assert film.stale()["submit_take shot 1"] == ["film: format changed"]
    film.studio.change(path, {"format": "16:9"})
    assert film.plan()["counts"]["stale"] == 0


def test_a_take_that_a_person_approved_stays_and_the_plan_says_that_it_is_stale(films):
    film = films["look"]
    film.done()
    shot = film.shots()[1]
    film.studio.change(f"/takes/{shot.selected_take_id}", {"validation": "approved"})
    film.patch_shot(2, camera="tilt up")
    (line,) = [item for item in film.plan()["items"] if item["step"] == "submit_take shot 2"]
    assert (line["state"], line["why"], line["kept"]) == ("stale", ["shot 2: camera changed"], True)
    assert film.studio.post(f"/jobs/{film.id}/remake").status_code == 409
    film.studio.change(f"/takes/{shot.selected_take_id}", {"validation": "neutral"})
    assert "render_segment shot 2" in film.stale()
    film.patch_shot(2, camera=None)


def test_before_it_is_made_a_film_is_missing_and_what_waits_for_it_is_blocked(films):
    studio = films["first"].studio
    job = studio.film(SCRIPT, gates=("script",))
    studio.state_of(job, "waiting")
    plan = {line["step"]: (line["state"], line["why"]) for line in studio.get(f"/jobs/{job}/plan")["items"]}
    assert plan["break_down"][0] == "current"
    assert plan["narrate shot 1"] == ("blocked", ["Waits for a person to answer the script gate."])
    assert plan["compose"][0] == "blocked"
    assert studio.post(f"/jobs/{job}/remake").status_code == 409
