import pytest

from core.errors import Invalid
from providers.base import ScriptRequest
from providers.outline import ADAPTER

PROSE = (
    "For as long as people have had eyes, they have looked up. They saw the moon, and they gave it names. "
    "In 1969, after years of work, two of them walked on it. The rest of us watched, on small screens, in dark "
    "rooms, holding our breath."
)


def narrations(brief: str, **wish) -> list[str]:
    return [shot.narration for _, shot in ADAPTER(None).write(ScriptRequest(brief, **wish)).script.shots]


@pytest.mark.parametrize("shots", [None, 1, 2, 3, 5, 9, 500])
def test_the_words_are_the_users_own_whatever_the_split(shots):
    told = narrations(PROSE, shots=shots)
    assert " ".join(told) == PROSE
    if shots and shots <= 5:
        assert len(told) == shots


def test_shots_last_about_five_seconds():
    assert 3 <= len(narrations(PROSE, target_duration=20)) <= 5


def test_few_sentences_for_a_long_film_are_a_shot_each_and_a_note_says_so():
    draft = ADAPTER(None).write(ScriptRequest("A rocket rises. The moon waits.", target_duration=30))
    assert [shot.narration for _, shot in draft.script.shots] == ["A rocket rises.", "The moon waits."]
    assert "Add about 66 words" in draft.notes[0]


def test_an_order_without_a_model_is_refused_with_advice():
    with pytest.raises(Invalid, match="OLLAMA_URL") as caught:
        narrations("60 seconds, vertical, about the James Webb telescope", target_duration=60)
    assert (caught.value.field, caught.value.code) == ("brief", "brief_too_short")


@pytest.mark.parametrize("brief", ["", "  ", "🚀", "x" * 1_000_000])
def test_a_brief_with_nothing_to_tell_or_too_much_names_the_brief(brief):
    with pytest.raises(Invalid) as caught:
        narrations(brief)
    assert caught.value.field == "brief"


def test_scenes_and_directives_of_the_user_stay():
    brief = "# T\n\n## One\n\n[image: samples:moon]\nThe moon. It rises.\n\n## Two\n\nA rocket. It flies. It lands."
    script = ADAPTER(None).write(ScriptRequest(brief, shots=2)).script
    assert [scene.heading for scene in script.scenes] == ["One", "Two"]
    assert [shot.narration for _, shot in script.shots] == [
        "The moon. It rises.",
        "A rocket. It flies. It lands.",
    ]
    assert script.shots[0][1].image == "samples:moon"


def test_chinese_and_arabic_are_split_and_joined_without_loss():
    chinese = "我们看见月亮在天空中升起。它很亮。我们走在路上，看见很多星星。夜里很安静。"  # noqa: RUF001
    assert "".join(narrations(chinese, shots=2)) == chinese
    assert len(narrations("ينظر الناس إلى القمر. هل ترى النجوم؟ نعم.", shots=3)) == 3


def test_a_long_text_is_outlined_quickly_and_notes_the_surplus():
    draft = ADAPTER(None).write(ScriptRequest("The moon rises over the quiet desert tonight. " * 900))
    assert len(draft.script.shots) <= 200
    assert "Take out" in draft.notes[0]
