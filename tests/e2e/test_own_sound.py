"""A film with takes' own sound: bought with it, cut with it, heard where its shot is and nowhere else."""

from __future__ import annotations

import pytest

from media.ffmpeg import run as ffmpeg
from media.sound import measure_loudness
from services.films import film_shots
from simulator.footage import TONE
from tests.e2e.test_other_jobs import upload
from tests.tones import NOTHING, level, samples_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

OURS = 5000
"""The tone of a clip of our own."""


def clip_of(folder, name, *sound):
    path = folder / f"{name}.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc=s=320x180:d=4:r=24"]
    ffmpeg([*picture, *sound, "-c:v", "libx264", "-pix_fmt", "yuv420p"], out=path, timeout=30)
    return path


def test_the_master_has_each_takes_own_sound_in_its_shot_and_says_which_take_had_none(
    studio, vendors, tmp_path
):
    tone = ["-f", "lavfi", "-i", f"sine={OURS}:r=48000:d=4", "-c:a", "aac"]
    loud = upload(studio, clip_of(tmp_path, "loud", *tone), "video/mp4")["asset_id"]
    mute = upload(studio, clip_of(tmp_path, "mute"), "video/mp4")["asset_id"]
    script = "\n\n".join(
        (
            "# Sounds",
            "[prompt: ownsound one]\n[audio: yes]\n[duration: 4]\nRain.",
            "[prompt: ownsound two]\n[duration: 3]\nNothing.",
            f"[clip: asset:{loud}]\n[audio: yes]\n[duration: 3]\n[title: Ours]",
            f"[clip: asset:{mute}]\n[audio: yes]\n[duration: 3]\n[title: Mute]",
        )
    )
    job_id = studio.film(script, providers=["kling:kling-2.5-turbo", "kling", "local"], captions="none")
    job = studio.state_of(job_id, "succeeded")

    bought = vendors.bought("ownsound")
    assert sorted((task["model"], task["charged"]) for task in bought) == [
        ("kling-2.5-turbo", 5 * 42_000),
        ("kling-3.0", 4 * 126_000),
    ]
    assert studio.captured(job_id) == 4 * 126_000 + 5 * 42_000

    with studio.rows() as session:
        shots = film_shots(session, job.film_id)
    told = [warning for warning in job.warnings if warning["code"] == "silent_take"]
    assert [warning["shot_id"] for warning in told] == [str(shots[3].id)]
    assert "Shot 4" in told[0]["message"]

    manifest = studio.get(f"/jobs/{job_id}/manifest")
    master = studio.file(manifest["master"]["sha256"])
    heard = samples_of(master, tmp_path)
    starts = [sum(shot.frames for shot in shots[:n]) / 24 for n in range(5)]
    for number in range(4):
        where = (starts[number] + 0.1, starts[number + 1] - 0.1)
        assert (level(heard, TONE, *where) > -35) is (number == 0)
        assert (level(heard, OURS, *where) > -35) is (number == 2)
    for hertz, shot in ((TONE, 0), (OURS, 2)):
        before, after = (0.0, starts[shot] - 0.05), (starts[shot + 1] + 0.05, starts[4])
        for start, end in (before, after):
            assert end <= start or level(heard, hertz, start, end) < NOTHING
    assert measure_loudness(master).integrated == pytest.approx(-14, abs=1)

    again = studio.film(script, providers=["kling:kling-2.5-turbo", "kling", "local"], captions="none")
    after = studio.state_of(again, "succeeded")
    assert len(vendors.bought("ownsound")) == 2, "an equal film buys nothing"
    assert studio.get(f"/jobs/{again}/manifest")["master"]["sha256"] == manifest["master"]["sha256"]
    assert [w["code"] for w in after.warnings].count("silent_take") == 1

    studio.change(f"/shots/{film_shots_of(studio, after)[0]}", {"audio": False})
    lines = studio.get(f"/jobs/{again}/plan")["items"]
    stale = {(line["kind"], line["label"]): line["why"] for line in lines if line["state"] == "stale"}
    assert stale["submit_take", "shot 1"] == ["shot 1: own sound changed"]
    assert "film: takes' own sound changed" in stale["mix_sound", ""]


def film_shots_of(studio, job):
    with studio.rows() as session:
        return [str(shot.id) for shot in film_shots(session, job.film_id)]
