from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import Invalid, Permanent
from media.captions import make_cues, to_ass
from media.cards import render_card
from media.compose import Chapter, compose
from media.craft import Craft
from media.export import gif, poster, webm
from media.ffmpeg import run
from media.images import open_image
from media.motion import render_still
from media.probe import probe
from media.segments import proxy_size, render_segment
from media.sound import mix
from tests.media.test_motion import read_grey

SMALL = {"width": 320, "height": 180, "fps": 25}


@pytest.fixture(scope="module")
def take(photo: Path, made: Path) -> Path:
    render_still(photo, made / "take.mp4", **SMALL, frames=30, move="still", seed=1)
    return made / "take.mp4"


@pytest.fixture(scope="module")
def segments(take: Path, made: Path) -> list[Path]:
    parts = []
    for i, frames in enumerate((20, 31, 17)):
        part = made / f"it's segment [{i}].mp4"
        render_segment(take, part, **SMALL, frames=frames)
        parts.append(part)
    return parts


@pytest.mark.parametrize("style", ["karaoke", "plain", "boxed"])
@pytest.mark.parametrize("words", ["Hello there", "مرحبا بالعالم", "★ ☀ ❤"])
def test_captions_are_burnt_into_the_lower_part(
    take: Path, fonts: Path, tmp_path: Path, style, words: str
) -> None:
    folder = tmp_path / "it's, [odd]: a folder; yes"
    folder.mkdir()
    ass = folder / "c.ass"
    cues = make_cues([(w, i * 0.5, i * 0.5 + 0.4) for i, w in enumerate(words.split())])
    ass.write_text(to_ass(cues, style, width=320, height=180, fonts=fonts))
    render_segment(take, folder / "with.mp4", **SMALL, frames=10, captions_ass=ass, fonts_dir=fonts)
    render_segment(take, folder / "without.mp4", **SMALL, frames=10)
    with_, without = (read_grey(folder / n, tmp_path)[5].astype(int) for n in ("with.mp4", "without.mp4"))
    difference = np.abs(with_ - without) > 40
    assert difference[90:].sum() > 60
    assert difference[:70].sum() == 0


def test_a_segment_longer_than_its_take_holds_the_last_frame(take: Path, tmp_path: Path) -> None:
    render_segment(take, tmp_path / "a.mp4", **SMALL, frames=50, fade_in=0.2, fade_out=0.4)
    frames = read_grey(tmp_path / "a.mp4", tmp_path)
    assert len(frames) == 50
    assert frames[0].mean() < 20
    assert frames[-1].mean() < frames[20].mean() / 2


def test_the_same_take_gives_the_same_segment(take: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        render_segment(take, tmp_path / name, **SMALL, frames=15)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_master_has_every_frame_and_sound_of_the_same_length(
    segments, speech: Path, tmp_path: Path
) -> None:
    seconds = 68 / 25
    mix([(speech, 0.2)], None, tmp_path / "sound.m4a", duration=seconds)
    srt = tmp_path / "c.srt"
    srt.write_text("1\n00:00:00,000 --> 00:00:01,000\nسلام\n", "utf-8")  # noqa: RUF001 - Arabic
    out = tmp_path / "the film.mp4"
    seen = compose(
        segments,
        tmp_path / "sound.m4a",
        out,
        metadata={"title": 'A = "b"; #c\nd', "comment": "Credits"},
        captions_srt=srt,
        language="ara",
        chapters=[Chapter("One", 0, 1), Chapter("Two", 1, seconds)],
    )
    assert seen.frames == 68
    assert seen.duration == pytest.approx(seconds, abs=1e-3)
    assert seen.audio_duration == pytest.approx(seconds, abs=0.022)
    assert not seen.vfr
    data = out.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    report = run(["-i", str(out), "-f", "null", "-"], timeout=20).stderr
    assert 'title           : A = "b"; #c' in report
    assert "Chapter #0:1" in report
    assert "Subtitle: mov_text" in report
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.srt", "sound.m4a", "the film.mp4"]


def test_the_same_parts_give_the_same_master(segments, speech: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        mix([(speech, 0.0)], None, tmp_path / f"{name}.m4a", duration=68 / 25)
        compose(segments, tmp_path / f"{name}.m4a", tmp_path / f"{name}.mp4", metadata={"title": "T"})
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_light_segments_join_to_a_light_film(take: Path, speech: Path, tmp_path: Path) -> None:
    lights = []
    for i, frames in enumerate((20, 31)):
        lights.append(tmp_path / f"light{i}.mp4")
        whole = tmp_path / f"whole{i}.mp4"
        render_segment(take, whole, width=1280, height=720, fps=25, frames=frames, proxy=lights[-1])
        small, large = probe(lights[-1]), probe(whole)
        assert (small.width, small.height, small.frames) == (854, 480, frames)
        assert (large.width, large.height, large.frames) == (1280, 720, frames)
        assert lights[-1].stat().st_size < whole.stat().st_size
    mix([(speech, 0.2)], None, tmp_path / "mix.m4a", duration=51 / 25)
    joined = compose(lights, tmp_path / "mix.m4a", tmp_path / "light.mp4")
    assert (joined.frames, joined.width, joined.has_audio) == (51, 854, True)


@pytest.mark.parametrize(
    ("frame", "light"),
    [
        ((1280, 720), (854, 480)),
        ((720, 1280), (480, 854)),
        ((1080, 1080), (480, 480)),
        ((426, 240), (426, 240)),
    ],
)
def test_a_light_segment_is_never_larger_than_the_segment(frame, light) -> None:
    assert proxy_size(*frame) == light


def test_sound_of_another_length_is_refused_and_nothing_is_kept(
    segments, speech: Path, tmp_path: Path
) -> None:
    with pytest.raises(Permanent) as e:
        compose(segments, speech, tmp_path / "a.mp4")
    assert e.value.code == "bad_master"
    assert list(tmp_path.iterdir()) == []


def test_segments_that_do_not_match_are_named(segments, take: Path, tmp_path: Path) -> None:
    render_segment(take, tmp_path / "other.mp4", width=160, height=90, fps=25, frames=5)
    with pytest.raises(Permanent) as e:
        compose([*segments, tmp_path / "other.mp4"], None, tmp_path / "a.mp4")
    assert e.value.field == "segments[3]"
    (tmp_path / "broken.mp4").write_bytes(segments[0].read_bytes()[:3000])
    with pytest.raises(Permanent) as e:
        compose([segments[0], tmp_path / "broken.mp4"], None, tmp_path / "a.mp4")
    assert e.value.field == "segments[1]"
    with pytest.raises(Invalid):
        compose([], None, tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize(
    "text",
    ["Looking Up", "لماذا ننظر إلى السماء؟", "🚀✨", "", "Credits\n" + "\n".join(["A line of thanks"] * 40)],
)
def test_a_card_shows_its_text_and_comes_out_the_same_again(fonts: Path, tmp_path: Path, text: str) -> None:
    for name in ("a.mp4", "b.mp4"):
        render_card(text, tmp_path / name, **SMALL, frames=30, seed=3, fonts=fonts, subtitle="A film")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    frames = read_grey(tmp_path / "a.mp4", tmp_path)
    assert len(frames) == 30
    assert frames[18].max() > 150


def test_the_craft_offers_what_local_providers_need(
    photo: Path, make_clip, fonts: Path, tmp_path: Path
) -> None:
    craft = Craft(fonts)
    craft.render_still(photo, tmp_path / "a.mp4", **SMALL, frames=4, move="auto", seed=1)
    craft.trim_clip(make_clip("plain.mp4"), tmp_path / "b.mp4", **SMALL, frames=4, start=0.0)
    craft.render_card("Hello", tmp_path / "c.mp4", **SMALL, frames=4, seed=1, backdrop=photo)
    assert [probe(tmp_path / n).frames for n in ("a.mp4", "b.mp4", "c.mp4")] == [4, 4, 4]


def test_exports_are_derived_from_a_master(make_clip, tmp_path: Path) -> None:
    master = make_clip("sound.mp4", sound=True)
    poster(master, tmp_path / "p.jpg", at=99, side=160)
    webm(master, tmp_path / "film.webm")
    gif(master, tmp_path / "film.gif", seconds=0.5, width=160)
    assert open_image(tmp_path / "p.jpg").shape == (90, 160, 3)
    vp9 = probe(tmp_path / "film.webm")
    assert (vp9.video_codec, vp9.audio_codec) in {
        ("vp9", "opus"),
        ("libvpx-vp9", "libopus"),
        ("vp9", "libopus"),
    }
    assert (tmp_path / "film.gif").read_bytes()[:4] == b"GIF8"
    assert len(list(tmp_path.iterdir())) == 3
