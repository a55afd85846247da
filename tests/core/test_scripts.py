# ruff: noqa: RUF001 - the punctuation of many scripts is meant
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.directives import CAMERA_MOVES
from core.errors import Invalid
from core.scripts import MAX_SHOTS, Scene, Script, ShotPlan, format_script, parse_script
from core.wording import clean, keywords, sentences, speaking_seconds, split_long

FOUNTAIN = """\
Title:
    _**Looking Up**_
Author: A. Writer
Draft date: 2026-11-20

# Act one

FADE IN:

/* A scene that was cut.

INT. NOWHERE - DAY

Nobody. */

EXT. DESERT - NIGHT #1#

= What it is about.

The moon rises over sand. [[image: samples:moon]]

NARRATOR (V.O.)
(softly)
It was always [[check this]] there.
Always.

CUT TO:

.THE HANGAR

A rocket *stands* in the dark. [[camera: tilt up]]

Somebody waits.

> THE END <
"""

line = st.text(max_size=60).map(clean)
said = st.one_of(line, st.text("#>-*_`[]\\<!12.) a~=", max_size=30).map(clean), st.just("INT. HOUSE - DAY"))
word = line.map(lambda text: clean("".join(c for c in text if c not in ",،、，"))).filter(bool)
reference = st.sampled_from(
    ["samples:rocket", "folder:my file].jpg", "https://example.org/a_b*c.jpg", "commons:1"]
)


@st.composite
def shot_plans(draw) -> ShotPlan:
    return ShotPlan(
        narration=draw(st.one_of(said, st.just("One two three four. " * 20).map(clean))),
        search_words=draw(st.none() | st.lists(word, max_size=3).map(tuple)),
        visual_prompt=draw(st.none() | said),
        duration=draw(st.none() | st.floats(0.5, 60)),
        image=draw(st.none() | reference),
        reference=draw(st.none() | reference),
        audio=draw(st.none() | st.booleans()),
        camera=draw(st.none() | st.sampled_from(CAMERA_MOVES)),
        title=draw(st.none() | said.filter(bool)),
    )


@st.composite
def scripts(draw) -> Script:
    heading = said.filter(bool)
    scenes = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        shots = []
        for _ in range(draw(st.integers(1, 3))):
            try:
                shots.append(draw(shot_plans()))
            except Invalid:
                shots.append(ShotPlan("A word."))
        scenes.append(Scene(number, draw(heading), tuple(shots)))
    return Script(draw(st.none() | heading), tuple(scenes))


@settings(max_examples=300, deadline=None)
@given(scripts())
def test_a_script_written_down_and_read_again_is_the_same(script):
    assert parse_script(format_script(script)) == script
    assert Script.from_json(json.loads(json.dumps(script.to_json()))) == script


messy = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.sampled_from(
            ["", "", "# T", "## S", "[image: samples:x]", "[duration: 5]", "[title: x]", "INT. A - DAY", "JOHN",
             "> X <", "[[", "]]", "/*", "*/", "<!--", "-->", "- item", "```", "[x:]", "[[image: samples:x]]", "Title: x",
             "\\", "\\[", "月亮。", "🚀", "(pause)", "CUT TO:", "---", "word " * 60]
        ),
    ),
    max_size=25,
).map("\n".join)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(messy, st.sampled_from(["auto", "plain", "markdown", "fountain"]))
def test_whatever_is_typed_is_a_script_or_invalid_input(text, dialect):
    try:
        script = parse_script(text, dialect)
    except Invalid:
        return
    assert parse_script(format_script(script)) == script


def test_markdown_gives_title_scenes_and_a_shot_for_each_paragraph():
    script = parse_script(
        "# Looking up\n\n## The rocket\n\n[image: samples:rocket]\n[duration: 5]\n[camera: push in]\n"
        "The rocket **stands**,\nwaiting.\n\n[title: One small step]\n\n## Moon\n- The moon.\n- The *sky*.\n"
    )
    assert script.title == "Looking up"
    assert [scene.heading for scene in script.scenes] == ["The rocket", "Moon"]
    first, card = script.scenes[0].shots
    assert (first.narration, first.image, first.duration) == (
        "The rocket stands, waiting.",
        "samples:rocket",
        5,
    )
    assert first.camera == "push in"
    assert (card.narration, card.title) == ("", "One small step")
    assert [shot.narration for shot in script.scenes[1].shots] == ["The moon.", "The sky."]


def test_plain_paragraphs_are_shots_of_one_scene():
    script = parse_script("First thing.\r\nStill first.\r\n\r\nSecond thing.")
    assert [scene.heading for scene in script.scenes] == ["Scene 1"]
    assert [shot.narration for _, shot in script.shots] == ["First thing. Still first.", "Second thing."]


def test_a_long_paragraph_becomes_several_shots_at_sentence_ends():
    text = "The moon rises over the quiet desert tonight. " * 12
    narrations = [shot.narration for _, shot in parse_script(text).shots]
    assert len(narrations) == 3
    assert " ".join(narrations) == text.strip()
    assert all(narration.endswith("tonight.") for narration in narrations)


def test_a_long_paragraph_with_directives_stays_one_shot():
    text = "[image: samples:moon]\n" + "The moon rises over the quiet desert tonight. " * 12
    assert len(parse_script(text).shots) == 1


def test_fountain_tells_dialogue_and_leaves_out_what_is_not_filmed():
    script = parse_script(FOUNTAIN)
    assert script.title == "Looking Up"
    assert [scene.heading for scene in script.scenes] == ["EXT. DESERT - NIGHT", "THE HANGAR"]
    speech = script.scenes[0].shots[0]
    assert speech.narration == "It was always there. Always."
    assert speech.visual_prompt == "The moon rises over sand."
    assert speech.image == "samples:moon"
    assert "moon" in speech.search_words
    hangar, waiting, card = script.scenes[1].shots
    assert (hangar.narration, hangar.camera) == ("A rocket stands in the dark.", "tilt up")
    assert waiting.narration == "Somebody waits."
    assert (card.title, card.narration) == ("THE END", "")
    assert "Nobody" not in format_script(script)
    assert parse_script(format_script(script)) == script


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Fine.\n\n[imge: samples:moon]\nText.", "Line 3: there is no directive .imge"),
        ("[duration: 61]\nText.", "Line 1: .duration.* between 0.5 and 60 seconds"),
        ("[duration: nan]\nText.", "between 0.5 and 60"),
        ("[duration: soon]\nText.", "needs a number of seconds"),
        ("Text.\n[camera: spin]", "Line 2: .camera.* push in, pull out"),
        ("[image: ../../secret]\nText.", "samples:<name>, folder:<file>, asset:<id>"),
        ("[image: file:///secret]\nText.", "samples:<name>"),
        ("[clip: asset:12]\nText.", "asset's id"),
        ("[reference: asset:12]\nText.", "asset's id"),
        ("[reference: a picture]\nText.", "does not understand 'a picture'"),
        ("[audio: on]\nText.", "is yes or no, not 'on'"),
        ("[audio:]\nText.", "is yes or no"),
        ("[image: samples:a]\n[image: samples:b]\nText.", "Line 2: this shot already has .image"),
        ("[image: samples:a]\n[clip: samples:b]\nText.", "Line 1: .*not both"),
        ("Text.\n\n[camera: still]", "Line 3: .*something to say or to show"),
        ("[title: ]\nText.", "needs a text"),
        ("INT. A - DAY\n\nText. [[imge: samples:moon]]", "Line 3: there is no directive"),
        ("", "empty"),
        ("\n \t\n", "empty"),
        ("# Only a title\n\n## And a heading", "empty"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_would_be_right(text, message):
    with pytest.raises(Invalid, match=message) as caught:
        parse_script(text)
    assert caught.value.field == "script"


@pytest.mark.parametrize(
    ("text", "narrations"),
    [
        ("ينظر الناس إلى القمر.\n\nهل ترى النجوم؟", ["ينظر الناس إلى القمر.", "هل ترى النجوم؟"]),
        ("月亮很亮。\n我们看见它！\n\n宇宙", ["月亮很亮。我们看见它！", "宇宙"]),
        ("🚀🌕\n\n👩‍🚀", ["🚀🌕", "👩‍🚀"]),
    ],
)
def test_every_script_of_the_world_is_a_script(text, narrations):
    script = parse_script(text)
    assert [shot.narration for _, shot in script.shots] == narrations
    assert all(shot.search_words for _, shot in script.shots)
    assert parse_script(format_script(script)) == script


def test_a_chinese_paragraph_without_blanks_is_split_at_its_sentences():
    pieces = split_long("我们看见月亮在天空中升起。" * 20)
    assert len(pieces) > 2
    assert all(piece.endswith("。") for piece in pieces)


def test_too_many_shots_are_refused_with_the_limit():
    with pytest.raises(Invalid, match=r"500 shots.* at most 200"):
        parse_script("A shot.\n\n" * 500)
    assert len(parse_script("A shot.\n\n" * MAX_SHOTS).shots) == MAX_SHOTS


@pytest.mark.parametrize(
    "block", ["a", "word ", "A. ", "[[", "/*", "*", "\\[", "<!--", "_ ", "[a](", "月", "\n\n#"]
)
def test_a_megabyte_is_refused_at_once_and_the_largest_text_read_quickly(block):
    started = time.monotonic()
    with pytest.raises(Invalid, match="limit is 200000"):
        parse_script(block * (1_000_000 // len(block) + 1))
    for dialect in ("markdown", "fountain"):
        try:
            parse_script((block * 200_000)[:200_000], dialect)
        except Invalid:
            continue
    assert time.monotonic() - started < 5


def test_search_words_are_what_can_be_seen():
    assert keywords("The Moon rises slowly over the quiet desert while Apollo waits.") == (
        "Moon", "rises", "quiet", "desert", "Apollo",
    )  # fmt: skip
    assert keywords("Der Mond geht über der Wüste auf.") == ("Mond", "geht", "Wüste")
    assert keywords("🚀 and 🌕") == ("rocket", "full", "moon")
    assert keywords("is it? And they were!") == ()


def test_sentences_hold_at_abbreviations_and_decimals():
    assert sentences("Dr. Smith paid 3.5 dollars. “Really?” Yes!") == [
        "Dr. Smith paid 3.5 dollars.", "“Really?”", "Yes!",
    ]  # fmt: skip


def test_speaking_time_counts_words_or_characters():
    assert speaking_seconds("one two three four five six") == 2.5
    assert speaking_seconds("月亮月亮月亮月亮月") == 2.0
    assert speaking_seconds("🚀 — !") == 0


@pytest.mark.parametrize(
    "stored",
    [
        None,
        {},
        {"title": None, "scenes": []},
        {"title": 1, "scenes": [{}]},
        {"title": "x", "scenes": [{"number": 1, "heading": "a", "shots": [{"x": 1}]}]},
    ],
)
def test_a_stored_value_that_is_no_script_is_invalid(stored):
    with pytest.raises(Invalid):
        Script.from_json(stored)


@pytest.mark.parametrize(
    ("fmt", "text"),
    [
        ("plain", "[audio: yes]\nRain.\n\n[Audio: NO]\nWind.\n\nSnow."),
        ("markdown", "# T\n\n- [audio: yes]\n  Rain.\n\n[audio: no]\nWind.\n\nSnow."),
        ("fountain", "Rain. [[audio: yes]]\n\nWind. [[audio: no]]\n\nSnow."),
    ],
)
def test_a_shot_asks_for_its_takes_own_sound_in_every_dialect(fmt, text):
    script = parse_script(text, fmt)
    assert [(shot.narration, shot.audio) for _, shot in script.shots] == [
        ("Rain.", True), ("Wind.", False), ("Snow.", None)
    ]  # fmt: skip
    written = format_script(script)
    assert (written.count("[audio: yes]"), written.count("[audio: no]")) == (1, 1)
    assert parse_script(written) == script
