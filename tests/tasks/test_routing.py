"""Who makes a take: what each provider can, the brief's policy, and every reason written down."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.briefs import load_params
from core.errors import Invalid, Misconfigured, Permanent, Rejected
from db.assets import Shot
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import Job, StepState
from providers.base import VideoRequest
from services import outcomes, plans
from services.steps import StepPlan, lock_job
from tasks import limits, pipeline
from tasks.routing import check_providers, choose, look_at
from tests.services.buying import make_shots
from tests.services.makers import do, make_job, plan, see_job, see_step
from tests.tasks.conftest import work_on
from tests.vendors_made_up import installed, model, write_vendor

THREE = ["kling", "kling:kling-2.6", "kling:kling-2.5-turbo"]
ASK = VideoRequest("shot", "A fox", width=1280, height=720, fps=24, frames=96)


@pytest.fixture
def vendors(settings, tmp_path):
    """Three vendors: one cheap and slow, one dear and good, one fast and of middling price; and their dark sides."""
    folder = tmp_path / "more"
    folder.mkdir()
    picture = ["text_to_video", "image_to_video"]
    write_vendor(folder, "cheap", model("c-1", amount=10_000, quality=2, typical_seconds=200))
    write_vendor(
        folder,
        "good",
        model("g-1", amount=90_000, quality=5, typical_seconds=120, capabilities=picture),
        model("g-old", amount=1, retires_at="2026-01-01", replaced_by="g-1"),
    )
    write_vendor(
        folder,
        "fast",
        model("f-1", amount=40_000, quality=3, typical_seconds=20),
        model("f-new", quality=5, typical_seconds=5),
        model("f-stale", amount=1_000, expired=True),
        model("f-short", amount=1_000, durations=[2]),
        model("f-tall", amount=1_000, ratios=["9:16"]),
    )
    write_vendor(folder, "off", model("o-1", amount=1), enabled=False)
    write_vendor(folder, "yuan", model("y-1", amount=5, currency="CNY"))
    with installed(folder):
        yield


def params(*providers: str, **more):
    return load_params("film", {"text": "A fox.", "providers": list(providers), **more})


def route(brief, request=ASK, **more):
    return choose(brief["routing"], look_at(brief, request, **more))


def codes(chosen):
    return {
        f"{one.provider}:{one.model}" if one.model else one.provider: one.code for one in chosen.considered
    }


@pytest.mark.parametrize(
    ("policy", "taken"), [("fixed", "good"), ("cheapest", "cheap"), ("fastest", "fast"), ("best", "good")]
)
def test_each_policy_takes_its_own_and_says_why(vendors, policy, taken):
    chosen = route(params("good", "fast", "cheap", routing=policy))
    assert chosen.provider.slug == taken
    assert chosen.quote.amount == {"good": 90_000, "fast": 40_000, "cheap": 10_000}[taken] * 5
    shown = chosen.to_json()
    assert shown["policy"] == policy
    assert [one["provider"] for one in shown["considered"]] == ["good", "fast", "cheap"]
    assert {one["provider"]: one["code"] for one in shown["considered"]} == {
        name: "taken" if name == taken else "spare" for name in ("good", "fast", "cheap")
    }
    assert [one["amount"] for one in shown["considered"]] == [450_000, 200_000, 50_000]
    assert [one["seconds"] for one in shown["considered"]] == [120, 20, 200]
    assert [one["quality"] for one in shown["considered"]] == [5, 3, 2]
    (why,) = [one["message"] for one in shown["considered"] if one["code"] == "taken"]
    assert {"fixed": "first", "cheapest": "cheapest", "fastest": "fastest", "best": "best"}[policy] in why


def test_what_a_policy_finds_equal_stays_in_the_briefs_order(vendors):
    assert route(params("fast", "fast:f-1", routing="cheapest")).provider.model == "f-1"
    chosen = route(params("fast:f-1", "fast", routing="best"))
    assert [one.code for one in chosen.considered] == ["taken", "spare"]


def test_what_runs_here_costs_nothing_so_it_is_the_cheapest(vendors):
    assert route(params("cheap", "local", routing="cheapest")).provider.slug == "local"
    assert route(params("cheap", "local", routing="best")).provider.slug == "cheap"


def test_prices_in_another_currency_do_not_count_as_lower(vendors):
    assert route(params("yuan", "good", routing="cheapest")).provider.slug == "good"


def test_who_cannot_make_it_is_passed_over_with_the_reason(vendors, tmp_path):
    brief = params("off", "fast:f-short", "fast:f-tall", "fast:f-new", "fast:f-stale", "good:g-old", "cheap")
    chosen = route(brief)
    assert codes(chosen) == {
        "off": "misconfigured", "fast:f-short": "too_long", "fast:f-tall": "wrong_shape",
        "fast:f-new": "unknown_price", "fast:f-stale": "unknown_price", "good:g-old": "retired",
        "cheap:c-1": "taken",
    }  # fmt: skip
    told = {one.model or one.provider: one for one in chosen.considered}
    assert "OFF_API_KEY" in told["off"].message
    assert (told["f-short"].field, told["f-tall"].field) == ("frames", "format")
    assert "9:16" in told["f-tall"].message
    assert "g-1" in told["g-old"].message
    assert all(one.news for one in chosen.considered if one.code != "taken")


def test_a_shot_with_a_reference_picture_goes_to_who_begins_with_one(vendors, tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"x")
    chosen = route(params("cheap", "good"), replace(ASK, image=picture))
    assert codes(chosen) == {"cheap:c-1": "no_reference", "good:g-1": "taken"}


SOUND = replace(ASK, audio=True)


@pytest.fixture
def sounding(vendors, tmp_path):
    folder = tmp_path / "louder"
    folder.mkdir()
    write_vendor(
        folder,
        "loud",
        model("l-mute", amount=10_000),
        model("l-1", amount=50_000, with_audio=80_000, audio="asked"),
        model("l-always", amount=100_000, audio=True),
        model("l-secret", amount=50_000, audio="asked"),
    )
    with installed(folder):
        yield


@pytest.mark.parametrize(
    ("names", "ask", "taken", "found"),
    [
        (("cheap", "loud:l-1"), SOUND, "l-1", {"cheap:c-1": "no_sound", "loud:l-1": "taken"}),
        (("cheap", "loud:l-1"), ASK, "c-1", {"cheap:c-1": "taken", "loud:l-1": "spare"}),
        (("loud", "loud:l-1"), SOUND, "l-1", {"loud:l-mute": "no_sound", "loud:l-1": "taken"}),
        (("local", "loud:l-1"), SOUND, "l-1", {"local:camera": "no_sound", "loud:l-1": "taken"}),
        (("loud:l-secret", "loud:l-1"), SOUND, "l-1", {"loud:l-secret": "unknown_price", "loud:l-1": "taken"}),
        (("off", "cheap", "loud:l-always"), SOUND, "l-always",
         {"off": "misconfigured", "cheap:c-1": "no_sound", "loud:l-always": "taken"}),
    ],
)  # fmt: skip
def test_a_take_with_a_sound_of_its_own_goes_to_who_makes_one(sounding, names, ask, taken, found):
    chosen = route(params(*names), ask)
    assert chosen.provider.model == taken
    assert codes(chosen) == found
    for one in chosen.considered:
        if one.code == "no_sound":
            assert one.field == "audio"
            assert "makes no sound" in one.message
            assert one.news


def test_the_cheapest_is_the_cheapest_with_sound(sounding):
    chosen = route(params("cheap", "loud:l-always", "loud:l-1", routing="cheapest"), SOUND)
    assert chosen.provider.model == "l-1"
    quoted = {one.model: one.quote.amount for one in chosen.considered if one.quote}
    assert quoted == {"l-always": 500_000, "l-1": 400_000}


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ("loud",),
            r"loud: l-mute makes no sound\. These make sound: loud:l-1, loud:l-always, loud:l-secret\.",
        ),
        (("cheap",), r"cheap: c-1 makes no sound\. Nobody in the brief makes sound\."),
        (("local",), r"local makes no sound: it keeps that of a clip"),
        (("local", "cheap", "loud"), r"local: .*cheap: .*loud: .*These make sound: loud:l-1"),
    ],
)
def test_a_brief_in_which_nobody_makes_sound_names_the_field_and_who_could(sounding, names, told):
    with pytest.raises(Rejected, match=told) as caught:
        route(params(*names), SOUND)
    assert (caught.value.code, caught.value.field) == ("no_sound", "audio")


def test_this_machine_keeps_the_sound_of_a_clip(sounding):
    assert route(params("local"), SOUND, moving=True).provider.slug == "local"
    chosen = route(params("loud:l-1", "local"), SOUND, pinned=True, moving=True)
    assert codes(chosen) == {"loud:l-1": "pinned", "local:camera": "taken"}
    with pytest.raises(Permanent, match="it keeps that of a clip") as caught:
        route(params("loud:l-1", "local"), SOUND, pinned=True)
    assert caught.value.code == "no_take"


def test_a_price_that_nobody_knows_is_bought_only_when_the_brief_accepts_it(vendors):
    for name in ("fast:f-new", "fast:f-stale"):
        with pytest.raises(Rejected) as caught:
            route(params(name))
        assert (caught.value.code, caught.value.field) == ("unknown_price", "params.accept_unknown_prices")
    accepted = route(params("fast:f-stale", accept_unknown_prices=True))
    assert (accepted.quote.amount, accepted.quote.known) == (5_000, False)
    assert route(params("fast:f-new", "cheap", accept_unknown_prices=True)).provider.model == "f-new"
    unpriced_last = params("fast:f-new", "cheap", accept_unknown_prices=True, routing="cheapest")
    assert route(unpriced_last).provider.slug == "cheap"


def test_when_only_an_unknown_price_stands_in_the_way_the_field_is_named(vendors):
    with pytest.raises(Rejected) as caught:
        route(params("off", "fast:f-new"))
    assert caught.value.field == "params.accept_unknown_prices"
    assert "OFF_API_KEY" in caught.value.message


def test_who_could_not_make_it_is_not_asked_again_and_another_model_of_it_is(vendors):
    brief = params("fast", "fast:f-stale", "cheap", accept_unknown_prices=True)
    chosen = route(brief, tried={("fast", "f-1"): "No."})
    assert codes(chosen) == {"fast:f-1": "tried", "fast:f-stale": "taken", "cheap:c-1": "spare"}
    with pytest.raises(Permanent, match="cheap: Never"):
        route(brief, tried={("fast", "f-1"): "No.", ("fast", "f-stale"): "No.", ("cheap", "c-1"): "Never."})


def test_a_pinned_picture_is_shown_from_here(vendors):
    chosen = route(params("cheap", "local"), pinned=True)
    assert codes(chosen) == {"cheap:c-1": "pinned", "local:camera": "taken"}
    assert not any(one.news for one in chosen.considered)


def test_a_vendor_whose_circuit_is_open_is_followed_by_the_next_and_waited_for_when_there_is_none(vendors):
    closed = {"cheap"}
    chosen = route(params("cheap", "good"), circuit_open=closed.__contains__)
    assert codes(chosen) == {"cheap:c-1": "circuit_open", "good:g-1": "taken"}
    alone = route(params("cheap"), circuit_open=closed.__contains__)
    assert alone.provider.slug == "cheap"
    assert "does not answer" in alone.considered[0].message


def test_the_only_provider_says_itself_what_is_wrong(vendors):
    with pytest.raises(Misconfigured, match="OFF_API_KEY"):
        route(params("off"))
    with pytest.raises(Rejected) as caught:
        route(params("cheap"), replace(ASK, frames=24 * 11))
    assert (caught.value.code, caught.value.field) == ("too_long", "frames")
    with pytest.raises(Permanent, match=r"cheap: .*good: ") as caught:
        route(params("cheap", "good"), replace(ASK, frames=24 * 11))
    assert caught.value.code == "no_take"


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("nobody", "invalid", "cheap, .*kling, .*local"),
        ("good:g-9", "unknown_model", "g-1, g-old"),
        ("good:g-old", "retired", "Use g-1"),
        ("kling:kling-9", "unknown_model", "kling-3.0, kling-3.0-turbo"),
        ("local:lens", "unknown_model", "camera"),
    ],
)
def test_a_brief_that_names_nobody_we_know_is_refused_with_the_names_we_know(vendors, name, code, told):
    check_providers(["good", "good:g-1", "local", "local:camera"])
    with pytest.raises(Invalid, match=told) as caught:
        check_providers([name])
    assert (caught.value.code, caught.value.field) == (code, "params.providers")


@pytest.mark.parametrize("url", ["", "https://api.openai.com/v1"])
def test_a_model_that_its_vendor_shut_down_is_refused_before_any_hold(settings, monkeypatch, url):
    monkeypatch.setenv("SORA_API_KEY", "sk-any")
    if url:
        monkeypatch.setenv("SORA_URL", url)
    with pytest.raises(Misconfigured, match=r"2026-09-24.*SORA_URL"):
        route(params("sora", accept_unknown_prices=True))
    with pytest.raises(Invalid, match="retired") as caught:
        check_providers(["sora:sora-2"])
    assert caught.value.code == "retired"


@pytest.mark.parametrize(
    ("slug", "names"), [("sora", ["sora", "sora:sora-2-pro", "sora:veo-9"]), ("veo", ["veo"])]
)
def test_a_relay_is_asked_for_what_its_vendor_ended_once_the_brief_takes_a_price_nobody_knows(
    settings, monkeypatch, slug, names
):
    monkeypatch.setenv(f"{slug.upper()}_API_KEY", "sk-any")
    monkeypatch.setenv(f"{slug.upper()}_URL", "https://relay.example/v1")
    check_providers(names)
    for name in names:
        with pytest.raises(Rejected) as caught:
            route(params(name))
        assert caught.value.code == "unknown_price"
        chosen = route(params(name, accept_unknown_prices=True))
        assert (chosen.provider.slug, chosen.quote.known) == (slug, False)


# -- in a job --------------------------------------------------------------------------------------


def take_step(house, **brief):
    """A job in phase shoot with one shot whose take is still to be asked for."""
    job_id = make_job(house, params={"sources": [], **brief})
    (shot,) = make_shots(job_id)
    kept, step_id = plan(job_id, StepPlan("keep_stock", shot), StepPlan("submit_take", shot), phase="shoot")
    do(kept, {"asset_id": None})
    return job_id, step_id


def submissions_of(job_id):
    with reading() as session:
        rows = session.query(Submission).filter_by(job_id=job_id).order_by(Submission.created_at)
        return list(rows)


def send(row):
    from tasks.app import app

    app.tasks["send_submission"](str(row.id))


def test_the_choice_and_every_reason_are_kept_on_the_submission(house, kling):
    job_id, step_id = take_step(house, providers=["kling", "kling:kling-2.6", "local"], routing="best")
    work_on(step_id)
    (row,) = submissions_of(job_id)
    assert (row.provider, row.model, row.quote) == ("kling", "kling-3.0", 3 * 84_000)
    assert row.routing["policy"] == "best"
    found = [(one["model"], one["code"], one["amount"]) for one in row.routing["considered"]]
    assert found == [
        ("kling-3.0", "taken", 252_000), ("kling-2.6", "spare", 210_000), ("camera", "spare", 0)
    ]  # fmt: skip


def test_the_cheapest_model_is_bought_and_what_fails_is_followed_by_the_next_cheapest(house, kling):
    job_id, step_id = take_step(house, providers=THREE, routing="cheapest")
    for taken in ("kling-2.6", "kling-2.5-turbo", "kling-3.0"):
        work_on(step_id)
        row = submissions_of(job_id)[-1]
        assert (row.model, row.state) == (taken, SubmissionState.INTENDED)
        kling.order("moderated")
        send(row)
        assert submissions_of(job_id)[-1].state is SubmissionState.FAILED
        with transaction() as session:
            outcomes.follow(session, lock_job(session, job_id))
    assert [one["code"] for one in row.routing["considered"]] == ["taken", "tried", "tried"]
    assert [w["code"] for w in see_job(job_id).warnings] == ["moderated"] * 3
    work_on(step_id)
    assert see_step(step_id).state is StepState.FAILED
    assert see_step(step_id).error_code == "no_take"
    assert kling.bill()["tasks"] == []


def test_what_may_have_been_bought_is_never_followed_by_the_next(house, kling):
    job_id, step_id = take_step(house, providers=THREE)
    work_on(step_id)
    kling.order("garbage-after")
    send(submissions_of(job_id)[-1])
    assert submissions_of(job_id)[-1].state is SubmissionState.UNCONFIRMED
    with transaction() as session:
        outcomes.follow(session, lock_job(session, job_id))
    assert see_step(step_id).state is StepState.SUCCEEDED, "it waits; nobody else is asked"
    assert len(submissions_of(job_id)) == 1


def test_a_price_nobody_knows_is_refused_before_anything_is_written_or_held(house, kling):
    job_id, step_id = take_step(house, providers=["kling:kling-3.0-turbo"])
    work_on(step_id)
    step = see_step(step_id)
    assert (step.state, step.error_code) == (StepState.FAILED, "unknown_price")
    assert submissions_of(job_id) == []
    job_id, step_id = take_step(house, providers=["kling:kling-3.0-turbo"], accept_unknown_prices=True)
    work_on(step_id)
    assert [row.model for row in submissions_of(job_id)] == ["kling-3.0-turbo"]


def ask_for_sound(job_id, value=True):
    with transaction() as session:
        session.query(Shot).filter_by(film_id=session.get_one(Job, job_id).film_id).update({"audio": value})


@pytest.mark.parametrize(
    ("brief", "shot", "sound"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
def test_the_brief_asks_for_sound_and_a_shot_may_say_otherwise(house, kling, brief, shot, sound):
    job_id, step_id = take_step(house, providers=["kling:kling-2.5-turbo", "kling"], audio=brief)
    ask_for_sound(job_id, shot)
    work_on(step_id)
    (row,) = submissions_of(job_id)
    assert row.request.get("audio", False) is sound
    assert ("audio" in row.request) is sound, "silence is asked for in the same words as ever"
    assert row.model == ("kling-3.0" if sound else "kling-2.5-turbo")
    assert row.quote == (3 * 126_000 if sound else 5 * 42_000)
    assert [one["code"] for one in row.routing["considered"]] == (
        ["no_sound", "taken"] if sound else ["taken", "spare"]
    )
    assert [w["code"] for w in see_job(job_id).warnings] == (["no_sound"] if sound else [])


def test_sound_that_nobody_makes_is_refused_before_anything_is_written_or_held(house, kling):
    job_id, step_id = take_step(house, providers=["kling:kling-2.5-turbo"], audio=True)
    work_on(step_id)
    step = see_step(step_id)
    assert (step.state, step.error_code) == (StepState.FAILED, "no_sound")
    assert "kling:kling-3.0" in step.error_message
    assert submissions_of(job_id) == []
    assert kling.bill()["calls"] == {}


def test_to_ask_for_sound_or_no_longer_makes_the_take_stale(house, kling):
    job_id, step_id = take_step(house, providers=["kling"])
    work_on(step_id)

    def stale():
        with reading() as session:
            job = session.get_one(Job, job_id)
            lines = plans.plan_job(session, job, pipeline.promise(session, job))
        (line,) = [one for one in lines if one.promise.plan.kind == "submit_take"]
        return line.why if line.state is plans.PlanState.STALE else None

    assert stale() is None
    ask_for_sound(job_id)
    assert stale() == ("shot 1: own sound changed",)
    ask_for_sound(job_id, False)
    assert stale() is None


def test_a_vendor_that_does_not_answer_is_followed_by_the_next_before_it_is_asked(house, kling):
    for _ in range(5):
        limits.limiter().failed("kling")
    job_id, step_id = take_step(house, providers=["kling", "local"])
    work_on(step_id)
    assert see_step(step_id).result["provider"] == "local"
    (row,) = submissions_of(job_id)
    assert [one["code"] for one in row.routing["considered"]] == ["circuit_open", "taken"]
    assert kling.bill()["calls"] == {}
