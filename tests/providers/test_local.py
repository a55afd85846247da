import json
from pathlib import Path

import pytest
from PIL import Image

from core.errors import Invalid, Misconfigured, Permanent
from media.craft import Craft
from providers.base import Answer, AnswerState, Context, Handle, VideoRequest
from providers.local import ADAPTER

FRAME = {"width": 320, "height": 180, "fps": 25, "frames": 10}


class Ledger:
    """A craft that writes down its orders as the film."""

    def render_still(self, image, out, **wish):
        out.write_text(json.dumps(["still", image.name, wish], sort_keys=True))

    def trim_clip(self, clip, out, **wish):
        out.write_text(json.dumps(["clip", clip.name, wish], sort_keys=True))

    def render_card(self, text, out, **wish):
        out.write_text(json.dumps(["card", text, wish], sort_keys=True))


@pytest.fixture
def local():
    return ADAPTER(Context(http=None, settings=None, craft=Ledger()))


@pytest.fixture
def picture(tmp_path) -> Path:
    path = tmp_path / "moon.jpg"
    path.write_bytes(b"x")
    return path


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (
            {"image": True, "move": "push in", "seed": 5},
            ["still", "moon.jpg", {**FRAME, "move": "push in", "seed": 5}],
        ),
        ({"image": True}, ["still", "moon.jpg", {**FRAME, "move": "auto", "seed": 0}]),
        ({"clip": True, "start": 2.5}, ["clip", "moon.jpg", {**FRAME, "start": 2.5, "audio": False}]),
        ({"title": "The end", "seed": 3}, ["card", "The end", {**FRAME, "seed": 3}]),
        ({}, ["card", "a moon", {**FRAME, "seed": 0}]),
    ],
)
def test_an_order_becomes_what_it_asks_for(local, picture, tmp_path, wish, expected):
    wish = {name: picture if value is True else value for name, value in wish.items()}
    submitted = local.submit(VideoRequest("shot", "a moon", **FRAME, **wish), "token-1")
    [answer] = local.poll([Handle(submitted.vendor_id)])
    assert answer.state is AnswerState.SUCCEEDED
    local.fetch(answer, tmp_path / "take.mp4")
    assert json.loads((tmp_path / "take.mp4").read_text()) == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == ["moon.jpg", "take.mp4"]


def test_another_process_can_fetch_by_the_stored_order(local, picture, tmp_path):
    submitted = local.submit(VideoRequest("shot", "a moon", **FRAME, image=picture), "token-1")
    raw = json.loads(json.dumps(submitted.receipt))
    other = ADAPTER(Context(http=None, settings=None, craft=Ledger()))
    other.fetch(Answer("token-1", AnswerState.SUCCEEDED, raw=raw), tmp_path / "take.mp4")
    assert (tmp_path / "take.mp4").exists()
    assert other.poll([Handle("token-1")])[0].state is AnswerState.FAILED


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"move": "spin"}, "camera"),
        ({"frames": 0}, "frames"),
        ({"start": -1}, "start"),
    ],
)
def test_an_order_that_cannot_be_made_is_refused_with_its_field(local, wish, field):
    with pytest.raises(Invalid) as caught:
        local.submit(VideoRequest(**{"purpose": "shot", "prompt": "x", **FRAME, **wish}), "t")
    assert caught.value.field == field


def test_a_missing_picture_and_a_foreign_order_are_permanent(local, tmp_path):
    submitted = local.submit(VideoRequest("shot", "", **FRAME, image=tmp_path / "gone.jpg"), "t")
    with pytest.raises(Permanent, match=r"gone\.jpg"):
        local.fetch(local.poll([Handle(submitted.vendor_id)])[0], tmp_path / "take.mp4")
    with pytest.raises(Permanent, match="no order"):
        local.fetch(Answer("t", AnswerState.SUCCEEDED, raw={"status": "ok"}), tmp_path / "take.mp4")


def test_without_craft_only_the_rendering_is_refused(tmp_path):
    local = ADAPTER(Context(http=None, settings=None))
    local.submit(VideoRequest("shot", "x", **FRAME), "t")
    with pytest.raises(Misconfigured, match="worker"):
        local.fetch(local.poll([Handle("t")])[0], tmp_path / "take.mp4")
    assert local.cancel(Handle("t")) is True


def test_the_real_craft_makes_the_same_film_of_the_same_order(tmp_path):
    Image.linear_gradient("L").resize((640, 360)).convert("RGB").save(tmp_path / "grey.png")
    local = ADAPTER(Context(http=None, settings=None, craft=Craft(tmp_path / "fonts")))
    films = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        local.submit(VideoRequest("shot", "x", **FRAME, image=tmp_path / "grey.png", seed=seed), name)
        local.fetch(local.poll([Handle(name)])[0], tmp_path / f"{name}.mp4")
        films.append((tmp_path / f"{name}.mp4").read_bytes())
    assert films[0] == films[1] != films[2]
